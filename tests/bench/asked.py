"""nginx that asks another for each request, by auth_request, and forwards by itself. Pure."""

from dataclasses import replace
from typing import Any

from tests.bench import configurations, oauth2_proxy
from tests.bench.configurations import FRONT, Place

DECIDE, OAUTH2 = "/.gateway/decide/nginx", "/oauth2/auth"


def nginx(place: Place, asked: int, path: str, user: str) -> str:
    """Return nginx that asks at a port for a path, and tells its upstream who the answer's ``user`` is."""
    text = configurations.nginx_proxy(place)
    replaced = {
        "  proxy_http_version": f"  upstream asked {{ server 127.0.0.1:{asked}; keepalive 128;"
        " keepalive_requests 100000000; }\n  proxy_http_version",
        "    location / { proxy_pass http://app; }": f"""    location / {{
      auth_request {path};
      auth_request_set $asked_user $upstream_http_{user};
      auth_request_set $asked_cookie $upstream_http_x_gateway_cookie;
      proxy_set_header Host $http_host; proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-User $asked_user; proxy_set_header Cookie $asked_cookie;
      proxy_set_header Authorization "";
      proxy_pass http://app;
    }}
    location = {path} {{
      internal; proxy_pass_request_body off; proxy_set_header Content-Length "";
      proxy_set_header Host asked; proxy_set_header Connection "";
      proxy_set_header X-Original-Method $request_method;
      proxy_set_header X-Original-URL $scheme://$http_host$request_uri;
      proxy_set_header X-Forwarded-Uri $request_uri;
      proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
      proxy_pass http://asked;
    }}""",
    }
    for before, after in replaced.items():
        if text.count(before) != 1:
            raise ValueError(f"not once in nginx's configuration: {before}")
        text = text.replace(before, after)
    return text


def gateway(place: Place, port: int) -> dict[str, Any]:
    """Return the gateway's normal configuration, asked by nginx, which can pass on one cookie."""
    return configurations.gateway(place) | {
        "listen": f"127.0.0.1:{port}",
        "trusted_proxies": [FRONT],
        "asked_by": ["nginx"],
        "session": {"mode": "redis"},
    }


def oauth2_arguments(place: Place, port: int) -> list[str]:
    """Return the options of oauth2-proxy, asked by nginx."""
    options = oauth2_proxy.arguments(replace(place, port=port, kind=configurations.PROXIED))
    return [*options, "--set-xauthrequest=true"]
