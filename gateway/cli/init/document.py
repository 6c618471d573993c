"""The first configuration, as text: short, with comments that say what each part is for."""

import re
from typing import Final
from urllib.parse import urlsplit

from gateway.cli.init.answers import Answers, require_of
from gateway.syntax.urls import is_loopback, port_of

SECRETS: Final = "secrets"
"""The directory of the secret files, beside the configuration."""
FOR_SEALING: Final = "secret-key"
FOR_OPERATORS: Final = "admin-token"
FOR_PROVIDER: Final = "client-secret"
SCHEMA: Final = "gateway.schema.json"
"""The file beside the configuration that editors are led to."""
_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.:/@%+-]*[A-Za-z0-9_/]")
_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off"})
_ADMIN_PORT: Final = 9090

_TEXT: Final = """\
# yaml-language-server: $schema={schema}
# Token Gateway, as gateway init wrote it. docs/configuration.md tells every setting; the schema that is named
# above lets editors complete them (after an upgrade: gateway schema > {schema}).
#
#   gateway check             is it good? Every problem with its line
#   gateway check --online    are the provider, the store and the upstream as it says?
#   gateway doctor            does a login get through? Once it runs
#   gateway run               serve

# where browsers find the gateway: exactly what the address bar shows
public_url: {public_url}

{listen}
# metrics, health, revocation: for operators alone, never on the public listener
admin:
  listen: 127.0.0.1:{admin_port}
  token: ${{file:{secrets}/{for_operators}}}

# seals the cookies. To rotate it: a new key first (gateway keys generate), the old one behind it for a week;
# with several machines the new one behind the old one at all of them, before it goes first
secret_keys: ["${{file:{secrets}/{for_sealing}}}"]

# the store. Without this section the gateway starts one of its own in state_dir, enough for one machine
# redis: {{url: redis://localhost:6379/0}}

# who says who somebody is. Register there, to the last character:
{register}
providers:
  {name}:
{provider}

# the application
upstreams:
  app:
    servers: [{upstream}]

# what may be seen by whom: of all paths that fit, the longest decides
routes:
  # - {{path: /public/, upstream: app, access: public}}
  - path: /
    upstream: app
    access: required
    unauthenticated: login
{require}
# what the application is told of who is calling. No client can send these fields
identity_headers:
  X-Forwarded-User: sub
  X-Forwarded-Email: email
  X-Forwarded-Groups: groups
"""
_LISTEN_LOCAL: Final = """\
# the public listener
listen: {}
"""
_LISTEN: Final = """\
# the public listener: for a proxy on this machine that speaks TLS to browsers. For one elsewhere 0.0.0.0:8080
# and its network in trusted_proxies; for none 0.0.0.0:443 and tls (docs/tls.md)
listen: 127.0.0.1:8080
# the proxy is believed about who calls once these are written; docs/behind-a-proxy.md has files for several
# trusted_proxies: [127.0.0.1]
# forwarding: {host: Host}
"""


def write(answers: Answers) -> str:
    """Return the configuration that the answers stand for."""
    parts = urlsplit(answers.public_url)
    port = port_of(parts)
    is_here = parts.scheme == "http" and is_loopback(parts.hostname or "")
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else "127.0.0.1"
    listen = _LISTEN_LOCAL.format(f"{host}:{port}" if host != "127.0.0.1" else f"127.0.0.1:{port}")
    back = [
        answers.public_url + answers.callback,
        f"{answers.public_url}/.gateway/logged-out    (after logouts)",
    ]
    return _TEXT.format(
        public_url=scalar(answers.public_url),
        listen=listen if is_here else _LISTEN,
        admin_port=_ADMIN_PORT + (is_here and port == _ADMIN_PORT),
        secrets=SECRETS,
        register="\n".join(f"#   {each}" for each in back),
        schema=SCHEMA,
        for_operators=FOR_OPERATORS,
        for_sealing=FOR_SEALING,
        name=answers.provider,
        provider="\n".join(f"    {line}" for line in _provider(answers)),
        upstream=scalar(answers.upstream),
        require=_require(answers),
    )


def _provider(answers: Answers) -> list[str]:
    known = answers.known
    lines = [f"{name}: {value}" for name, value in known.settings.items() if name in ("kind", "preset")]
    lines += [
        "# to the last character what the provider calls itself",
        f"issuer: {scalar(answers.issuer)}",
        f"client_id: {scalar(answers.client_id)}",
    ]
    if answers.client_secret:
        lines.append(f"client_secret: ${{file:{SECRETS}/{FOR_PROVIDER}}}")
        auth = known.settings.get("client_auth")
        lines += [f"client_auth: {auth}"] if auth else []
    else:
        lines.append("client_auth: none")
    rest = ("kind", "preset", "client_auth")
    lines += [f"{name}: {value}" for name, value in known.settings.items() if name not in rest]
    if "kind" not in known.settings:
        lines += [
            "# the aud of bearer tokens that programs may come with; this one names nobody",
            "audiences: [no-bearer-tokens]",
        ]
    return lines


def _require(answers: Answers) -> str:
    required = require_of(answers.who, answers.provider)
    if not required:
        whose = (
            f"any account of {answers.known.label}" if answers.known.is_public else "whoever can log in there"
        )
        return (
            f"    # {whose} comes in. Narrower: require: {{email_domains: [example.com]}}"
            " or {groups: [staff]}\n"
        )
    ((name, values),) = required.items()
    if name == "hd":
        told = "    # hd is the Workspace domain that an account belongs to\n"
        return f"{told}    require: {{claims: {{hd: {scalar(values[0])}}}}}\n"
    return f"    require: {{{name}: [{', '.join(map(scalar, values))}]}}\n"


def scalar(text: str) -> str:
    """Return a text as a YAML value that is read as that very text."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("${", "$${")
    return f'"{escaped}"'
