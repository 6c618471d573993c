-- Asks Token Gateway whether a request may go on, for haproxy.cfg beside this file (HAProxy 2.6 or newer).
--
--   lua-load /etc/haproxy/gateway.lua http://127.0.0.1:8080

local arguments = table.pack(...)
local gateway = arguments[1] or "http://127.0.0.1:8080"

-- every name of identity_headers, and of the routes' own
local identity = {
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
}

-- what is for one connection alone, or tells of the body, which stays here
local own = {
    "connection", "content-length", "expect", "host", "keep-alive", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade",
}

local function first(headers, name)
    local values = headers[name]
    return values and (values[0] or values[1]) or ""
end

local function each(values)
    local found, index = {}, values[0] and 0 or 1
    while values[index] do
        found[#found + 1] = values[index]
        index = index + 1
    end
    return found
end

local function ask(txn)
    local headers = txn.http:req_get_headers()
    local sent = {}
    for name, values in pairs(headers) do
        sent[name] = each(values)
    end
    for _, name in ipairs(own) do
        sent[name] = nil
    end
    -- the address, scheme and host are set by haproxy.cfg
    sent["x-forwarded-method"] = { txn.sf:method() }
    sent["x-forwarded-uri"] = { txn.sf:pathq() }
    return core.httpclient():get{ url = gateway .. "/.gateway/decide/haproxy", headers = sent }
end

local function put(txn, name, value)
    if value == "" then
        txn.http:req_del_header(name)
    else
        txn.http:req_set_header(name, value)
    end
end

local function allow(txn, answer)
    for _, name in ipairs(identity) do
        put(txn, name, first(answer.headers, name))
    end
    -- the client's cookies and credentials without the gateway's
    put(txn, "cookie", first(answer.headers, "x-gateway-cookie"))
    put(txn, "authorization", first(answer.headers, "x-gateway-authorization"))
    -- a renewed session
    txn:set_priv(answer.headers["set-cookie"])
    txn:set_var("txn.gateway_decision", "allow")
end

local function refuse(txn, answer)
    local reply = txn:reply{ status = answer.status }
    for name, values in pairs(answer.headers) do
        if name ~= "connection" and name ~= "content-length" and name ~= "transfer-encoding" then
            for _, value in ipairs(each(values)) do
                reply:add_header(name, value)
            end
        end
    end
    if txn.sf:method() ~= "HEAD" then
        reply:set_body(answer.body)
    end
    txn:done(reply)
end

core.register_action("gateway_decide", { "http-req" }, function(txn)
    txn:set_var("txn.gateway_decision", "none")
    local answer = ask(txn)
    if not answer or not answer.status or answer.status < 200 then
        return
    end
    if answer.status < 300 then
        allow(txn, answer)
    else
        refuse(txn, answer)
    end
end)

core.register_action("gateway_cookies", { "http-res" }, function(txn)
    local cookies = txn:get_priv()
    if cookies then
        for _, cookie in ipairs(each(cookies)) do
            txn.http:res_add_header("set-cookie", cookie)
        end
        -- no shared cache may keep them
        txn.http:res_add_header("cache-control", "private")
    end
end)
