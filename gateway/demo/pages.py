"""The demo's pages: plain HTML without script, under a policy that allows nothing else."""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from html import escape

STYLE = """
:root { color-scheme: light dark; --ink: #1c2330; --soft: #5b6577; --paper: #f4f5f8; --card: #fff;
  --line: #dde1e8; --accent: #2f5bd3; --on-accent: #fff; --mark: #e8f6ee; --mark-ink: #14623a;
  --bad: #a1260d; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e7eaf0; --soft: #a0a9ba; --paper: #12151b; --card: #1b2029; --line: #323a48;
    --accent: #8fb0ff; --on-accent: #10151f; --mark: #16382a; --mark-ink: #9be3bd; --bad: #ffb4a3; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 2rem 1rem 4rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 52rem; margin: 0 auto; }
main.narrow { max-width: 24rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 0 0 .75rem; }
p { margin: 0 0 1rem; }
.soft { color: var(--soft); font-size: .9rem; }
.kicker { color: var(--soft); font-size: .8rem; letter-spacing: .06em; text-transform: uppercase;
  margin: 0 0 .35rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .75rem;
  padding: 1.25rem 1.5rem; margin: 0 0 1.25rem; }
.error { border-left: .3rem solid var(--bad); padding: .5rem .75rem; color: var(--bad);
  background: var(--paper); }
label { display: block; font-weight: 600; margin: 0 0 .25rem; }
input:not([type=hidden]) { width: 100%; font: inherit; padding: .55rem .7rem; margin: 0 0 1rem;
  color: inherit; background: var(--paper); border: 1px solid var(--soft); border-radius: .45rem; }
button { font: inherit; font-weight: 600; padding: .55rem 1.1rem; border: 0; border-radius: .45rem;
  background: var(--accent); color: var(--on-accent); cursor: pointer; }
main.narrow button { width: 100%; }
:focus-visible { outline: .2rem solid var(--accent); outline-offset: .12rem; }
a { color: var(--accent); }
nav ul { list-style: none; padding: 0; margin: 0; display: flex; flex-wrap: wrap; gap: .5rem 1.25rem; }
table { width: 100%; border-collapse: collapse; font-size: .9rem; }
caption { text-align: left; color: var(--soft); padding: 0 0 .5rem; }
th, td { text-align: left; vertical-align: top; padding: .4rem .75rem .4rem 0;
  border-top: 1px solid var(--line); }
th { white-space: nowrap; font-weight: 600; }
td { overflow-wrap: anywhere; font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
td.why { color: var(--soft); font-family: inherit; }
td.why:not(:empty) { min-width: 13rem; }
tr.identity th, tr.identity td { background: var(--mark); color: var(--mark-ink);
  padding-left: .5rem; }
code, pre { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; font-size: .88em; }
pre { overflow-x: auto; background: var(--paper); border-radius: .45rem; padding: .75rem;
  margin: 0 0 1rem; }
@media (max-width: 36rem) { th, td, td.why:not(:empty) { display: block; min-width: 0; padding-right: 0; }
  td { border-top: 0; padding-top: 0; } }
"""

_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()


def text(value: object) -> str:
    """Escape a value for HTML; bytes that are no UTF-8 are shown as escapes."""
    return escape(str(value).encode("utf-8", "backslashreplace").decode(), quote=True)


def headers(form_targets: Iterable[str] = ()) -> dict[str, str]:
    """Return the header fields of a page; its forms may lead to ``form_targets`` (CSP source list)."""
    forms = " ".join(form_targets) or "'none'"
    return {
        "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none';"
        f" form-action {forms}; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }


def document(title: str, body: str, *, narrow: bool = False) -> str:
    """Return a whole page. ``body`` is HTML, ``title`` plain text."""
    layout = ' class="narrow"' if narrow else ""
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{text(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<main{layout}>\n{body}\n</main>\n</body>\n</html>\n"
    )


def message(title: str, explanation: str) -> str:
    """Return a page that says one thing."""
    body = (
        f'<div class="card"><p class="kicker">Demo identity provider</p>'
        f"<h1>{text(title)}</h1><p>{text(explanation)}</p></div>"
    )
    return document(title, body, narrow=True)


def form_post(action: str, fields: Mapping[str, str]) -> str:
    """Return the page that posts an answer to the client."""
    hidden = "".join(
        f'<input type="hidden" name="{text(name)}" value="{text(value)}">' for name, value in fields.items()
    )
    body = (
        '<div class="card"><p class="kicker">Demo identity provider</p><h1>You are logged in</h1>'
        f'<form method="post" action="{text(action)}">{hidden}'
        '<button type="submit">Go on</button></form></div>'
    )
    return document("You are logged in", body, narrow=True)


def login_form(
    transaction: str,
    client: str,
    scopes: Iterable[str],
    *,
    user: str,
    note: str,
    hints: Iterable[str],
    failed: bool,
) -> str:
    """Return the login form. Everything it must remember is behind ``transaction``."""
    error = '<p class="error" role="alert">User name and password do not match.</p>' if failed else ""
    asked = f'<p class="soft">{text(note)}</p>' if note else ""
    tips = "".join(f"<li><code>{text(hint)}</code></li>" for hint in hints)
    accounts = f'<div class="soft"><p>Accounts, name / password:</p><ul>{tips}</ul></div>' if tips else ""
    body = f"""<div class="card">
<p class="kicker">Demo identity provider</p>
<h1>Log in</h1>
<p class="soft"><strong>{text(client)}</strong> asks for {text(", ".join(scopes))}.</p>
{asked}{error}
<form method="post" action="/login">
<input type="hidden" name="transaction" value="{text(transaction)}">
<label for="username">User name</label>
<input id="username" name="username" value="{text(user)}" autocomplete="username"
  autocapitalize="none" spellcheck="false" required{"" if user else " autofocus"}>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password"
  required{" autofocus" if user else ""}>
<button type="submit">Log in</button>
</form>
</div>
{accounts}"""
    return document("Log in - demo identity provider", body, narrow=True)
