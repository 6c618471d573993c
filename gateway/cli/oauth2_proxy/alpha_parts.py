"""What the alpha configuration says beyond the usual file: upstreams and header fields."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.cli.oauth2_proxy.addresses import split
from gateway.cli.oauth2_proxy.alpha import Alpha, Document, rewritten
from gateway.cli.oauth2_proxy.draft import Draft, Reference, Upstream
from gateway.cli.oauth2_proxy.headers import user_claim
from gateway.cli.oauth2_proxy.options import Options, read_duration
from gateway.cli.oauth2_proxy.patterns import Place
from gateway.cli.oauth2_proxy.routes import is_ours_to_give, server_of, upstream_settings

_TIMEOUT: Final = 30.0
# what a session there holds beside claims, and no upstream gets here
_NEVER: Final = frozenset({"id_token", "refresh_token", "created_at", "expires_on"})


def put_alpha_upstreams(alpha: Alpha, draft: Draft) -> None:
    """Put in the upstreams."""
    for each in alpha.upstreams:
        if each.get("static"):
            if each.get("staticCode", 200) not in (200, 202, 204):
                draft.error(
                    "upstreamConfig", "a static answer with another status than of a success is none here"
                )
            continue
        found = _place(each, draft)
        if found is None:
            continue
        place, route = found
        if not is_ours_to_give(draft, "upstreamConfig", place):
            continue
        if alpha.passes_raw and not route and not place.exact:
            route = {"raw_path": True}
        uri = str(each.get("uri", ""))
        is_server = uri.startswith(("http://", "https://")) and split(uri).hostname
        if not is_server and not uri.startswith("unix:///"):
            draft.error(
                "upstreamConfig",
                "an upstream is no http://, https:// or unix:// URL: no files are served here",
            )
            continue
        server = f"unix:{uri.removeprefix('unix://')}" if uri.startswith("unix:") else server_of(uri)
        draft.upstreams.append(Upstream(place, server, _settings(each, draft), route))


def _settings(each: Document, draft: Draft) -> dict[str, Any]:
    timeout, seconds = each.get("timeout", "30s"), _TIMEOUT
    try:
        seconds = read_duration(str(timeout))
    except ValueError:
        draft.error("upstreamConfig", "timeout: a duration such as 30s is expected")
    return upstream_settings(
        timeout=seconds,
        passes_host=each.get("passHostHeader") is not False,
        keeps_alive=each.get("disableKeepAlives") is not True,
        verifies=not str(each.get("uri")).startswith("https:")
        or each.get("insecureSkipTLSVerify") is not True,
    )


def _place(each: Document, draft: Draft) -> tuple[Place, Mapping[str, Any]] | None:
    path, target = str(each.get("path", "")), each.get("rewriteTarget")
    if target is None:
        if not path.startswith("/") or "{" in path:
            draft.error("upstreamConfig", "a path that is a pattern is no prefix: give each its own upstream")
            return None
        return Place(path, exact=not path.endswith("/")), {}
    found = rewritten(path, str(target))
    if found is None:
        draft.error(
            "upstreamConfig",
            "rewriteTarget: a prefix alone can be replaced, as of ^/app/(.*)$ with /new/$1 or /$1",
        )
        return None
    prefix, put = found
    return Place(prefix), {"strip_prefix": True} if put == "/" else {"replace_prefix": put}


def put_alpha_headers(options: Options, alpha: Alpha, draft: Draft) -> None:
    """Put in the fields that upstreams, and proxies that ask, are told."""
    names: dict[str, str] = {}
    for each in alpha.request_headers:
        _put_header(options, draft, names, each, "request_headers")
    for each in alpha.response_headers:
        _put_header(options, draft, names, each, "response_headers")
    draft.sections["identity_headers"] = names


def _put_header(
    options: Options, draft: Draft, names: dict[str, str], header: Document, section: str
) -> None:
    name, values = str(header.get("name", "")), header.get("values") or []
    option = f"inject{section.split('_', maxsplit=1)[0].title()}Headers"
    if header.get("preserveRequestValue"):
        draft.note(option, f"{name}: no client can send a field by which identities are told")
    if not isinstance(values, list) or len(values) != 1 or not isinstance(values[0], dict):
        draft.error(option, f"{name}: one value is expected")
        return
    value = values[0]
    claims, secret = value.get("claimSource"), value.get("secretSource")
    if claims is None and secret is None:
        # as versions before had it
        claims, secret = (value, None) if "claim" in value else (None, value)
    if isinstance(claims, dict):
        _put_claim(options, draft, names, option, name, claims)
        return
    reference = _reference(draft, name, secret)
    if reference is None:
        draft.error(option, f"{name}: value, fromEnv or fromFile is expected")
    elif name.lower() == "authorization" and section == "request_headers":
        draft.route["authorization"] = {"value": reference}
    else:
        draft.route.setdefault(section, {})[name] = reference


def _put_claim(
    options: Options, draft: Draft, names: dict[str, str], option: str, name: str, source: Document
) -> None:
    claim, prefix = str(source.get("claim", "")), str(source.get("prefix", ""))
    ours = {"user": user_claim(options), "groups": options.text("oidc_groups_claim")}.get(claim, claim)
    if claim in _NEVER:
        draft.note(option, f"{name}: {claim} is for the gateway alone")
    elif (password := source.get("basicAuthPassword")) is not None:
        reference = _reference(draft, name, password)
        if reference is None or name.lower() != "authorization":
            draft.error(option, f"{name}: Basic credentials are told as Authorization, with a password")
            return
        draft.route["authorization"] = {"basic": {"username": ours, "password": reference}}
    elif claim == "access_token":
        draft.route["authorization"] = "access_token"
        if name.lower() != "authorization":
            draft.note(option, f"{name}: upstreams get the access token as Authorization: Bearer")
    elif prefix:
        draft.error(option, f"{name}: a claim is told as it is, without a prefix")
    else:
        names[name] = ours


def _reference(draft: Draft, name: str, source: object) -> str | None:
    if not isinstance(source, dict):
        return None
    if source.get("fromEnv"):
        return Reference(f"${{env:{source['fromEnv']}}}")
    if source.get("fromFile"):
        return Reference(f"${{file:{source['fromFile']}}}")
    if source.get("value") is None:
        return None
    plain = "".join(sign if sign.isascii() and sign.isalnum() else "_" for sign in name).upper()
    return draft.variable(f"GATEWAY_{plain}", f"what value of {name} is in base64")
