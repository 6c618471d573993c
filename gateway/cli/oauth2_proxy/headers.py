"""What upstreams are told, and proxies that ask."""

from typing import Final

from gateway.cli.oauth2_proxy.draft import Draft
from gateway.cli.oauth2_proxy.options import Options
from gateway.cli.oauth2_proxy.providers import USER_CLAIMS

_PASSED: Final = "X-Forwarded"
_ASKED: Final = "X-Auth-Request"


def put_headers(options: Options, draft: Draft) -> None:
    """Put in the identity headers, and what stands for Authorization."""
    user = "email" if options.flag("prefer_email_to_user") else user_claim(options)
    groups = options.text("oidc_groups_claim")
    names: dict[str, str] = {}
    if options.flag("pass_basic_auth") or options.flag("pass_user_headers"):
        names |= _names(_PASSED, user, groups, has_email=not options.flag("prefer_email_to_user"))
    if options.flag("set_xauthrequest"):
        names |= _names(_ASKED, user_claim(options), groups, has_email=True)
    draft.sections["identity_headers"] = names
    password = options.text("basic_auth_password")
    is_basic = options.flag("pass_basic_auth") or options.flag("set_basic_auth")
    if password and is_basic:
        secret = draft.variable("GATEWAY_BASIC_PASSWORD", "the value of basic_auth_password")
        draft.route["authorization"] = {"basic": {"username": user, "password": secret}}
    if options.flag("pass_access_token"):
        if "authorization" in draft.route:
            draft.error(
                "pass_access_token", "Authorization holds one credential, and basic_auth_password is set too"
            )
        else:
            draft.route["authorization"] = "access_token"
            draft.note(
                "pass_access_token", "upstreams get it as Authorization: Bearer, not X-Forwarded-Access-Token"
            )


def user_claim(options: Options) -> str:
    """Return the claim that somebody is called by."""
    return USER_CLAIMS.get(options.text("provider"), "sub")


def _names(start: str, user: str, groups: str, *, has_email: bool) -> dict[str, str]:
    names = {f"{start}-Groups": groups, f"{start}-User": user}
    if has_email:
        names[f"{start}-Email"] = "email"
    return names | {f"{start}-Preferred-Username": "preferred_username"}
