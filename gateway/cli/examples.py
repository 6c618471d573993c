"""What ``--help`` of each command ends with: command lines that work, and what each is for."""

from collections.abc import Mapping
from typing import Final

EXAMPLES: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "": (
        ("gateway demo", "try it on this machine: a provider, an upstream and a gateway"),
        ("gateway init", "write a first configuration"),
        ("gateway check", "is the configuration good?"),
        ("gateway run", "serve"),
    ),
    "run": (
        ("gateway run", "serve what gateway.yaml says, until SIGTERM"),
        ("gateway run --config /etc/gateway/gateway.yaml", "serve what another file says"),
    ),
    "check": (
        ("gateway check", "list every problem and warning of gateway.yaml with its line"),
        ("gateway check --online", "ask the providers, the store and the upstreams whether all is well"),
        ("gateway check --online --json > check.json", "the same, for a program"),
    ),
    "audit": (("gateway audit list --path /admin --since 24h", "who was at /admin since yesterday?"),),
    "audit list": (
        ("gateway audit list --path /admin --since 24h", "who was at /admin since yesterday?"),
        ("gateway audit list --sub alice --json", "what has alice done, and what was done to her?"),
    ),
    "audit export": (
        (
            "gateway audit export --since 2026-01-01 --output january.jsonl",
            "all of it since then, as JSON lines",
        ),
    ),
    "audit forget": (
        (
            "gateway audit forget --sub alice --reason 'she asked'",
            "what is personal goes, that it happened stays",
        ),
        ("gateway audit forget --sub alice --file audit.log.1", "in a file that was rotated"),
    ),
    "audit verify": (
        ("gateway audit verify", "is what the store keeps complete and unaltered?"),
        ("gateway audit verify audit.log.1 audit.log", "are these files? The oldest first"),
    ),
    "healthcheck": (
        ("gateway healthcheck", "does it live? For a container's own health check"),
        ("gateway healthcheck --ready", "does it serve? For what sends requests there"),
        ("gateway healthcheck --admin http://[::1]:9090 --timeout 1", "without any configuration"),
    ),
    "completion": (
        ("gateway completion bash > ~/.local/share/bash-completion/completions/gateway", "bash, from now on"),
        ("gateway completion zsh > ~/.zfunc/_gateway", "zsh, where fpath has ~/.zfunc"),
        ("gateway completion fish > ~/.config/fish/completions/gateway.fish", "fish, from now on"),
    ),
    "doctor": (
        ("gateway doctor", "walk through a login at the first public_url, and look at each step"),
        ("gateway doctor --url https://app.example.com/page", "from another page, or another machine"),
        ("gateway doctor login_loop", "what does the word at the foot of the page mean, and what helps?"),
        ("gateway doctor --log gateway.log --request-id 4f1c2d", "why did this login fail?"),
    ),
    "init": (
        ("gateway init", "ask six questions, and write gateway.yaml and its secrets"),
        ("gateway init --provider google --who @example.com", "ask for the rest alone"),
        ("gateway init --output staging/gateway.yaml --online", "elsewhere, and ask the provider first"),
    ),
    "explain": (
        ("gateway explain /api/orders", "what would become of this request?"),
        ("gateway explain --curl saved.txt --live", "of a saved curl command, at the running gateway"),
        ("gateway explain --log access.log --request-id 4f1c2d", "why a request was answered as it was"),
    ),
    "revoke": (
        ("gateway revoke --sub alice --reason 'left the company'", "everything of a person"),
        ("gateway revoke --session k3Qx0b", "one session, by its id in the audit log"),
        ("gateway revoke --jti 7c9e --provider corporate", "one bearer token"),
        (
            "gateway revoke --all --admin http://127.0.0.1:9090 --token-file /run/secrets/admin-token",
            "everybody, though the configuration is broken",
        ),
    ),
    "reload": (
        ("gateway reload", "let it read its configuration anew"),
        ("gateway reload --reason 'new route' --actor carol", "the same, with who and why in the audit log"),
    ),
    "sessions": (("gateway sessions list", "who is logged in?"),),
    "sessions list": (
        ("gateway sessions list", "who was seen last?"),
        ("gateway sessions list --sub alice --json", "the sessions of one person, for a program"),
    ),
    "sessions show": (("gateway sessions show k3Qx0b", "all that is known of one session"),),
    "sessions end": (
        ("gateway sessions end k3Qx0b --reason 'lost laptop'", "one session, by its id as listed"),
        ("gateway sessions end --sub alice", "every session of a person"),
    ),
    "schema": (
        ("gateway schema > gateway.schema.json", "for an editor, or for CI"),
        ("gateway schema --audit > audit-event.schema.json", "for whoever reads audit events"),
    ),
    "keys": (("gateway keys generate", "a new key for secret_keys"),),
    "keys generate": (("gateway keys generate > secret-key", "a new key for secret_keys, into a file"),),
    "keys api": (("gateway keys api list", "which API keys are there?"),),
    "keys api create": (
        ("gateway keys api create --owner ci --scope deploy --expires 30d", "a key, printed once"),
        ("gateway keys api create --owner ci --configuration", "what to write into the configuration"),
    ),
    "keys api list": (
        ("gateway keys api list", "each key, and when it was used last"),
        ("gateway keys api list --owner ci --json", "those of one owner, for a program"),
    ),
    "keys api revoke": (
        ("gateway keys api revoke mzxw6ytboi5gk4tf --reason 'leaked'", "at once everywhere"),
    ),
    "import": (("gateway import oauth2-proxy oauth2-proxy.cfg", "what is its configuration here?"),),
    "import oauth2-proxy": (
        ("gateway import oauth2-proxy oauth2-proxy.cfg", "print what its configuration is here"),
        (
            "gateway import oauth2-proxy oauth2-proxy.env --alpha-config alpha.yaml --output gateway.yaml",
            "of variables and an alpha configuration, into a new file",
        ),
    ),
    "demo": (("gateway demo", "a provider, an upstream and a gateway on this machine"),),
}
"""By a command's words: command lines, each with what it is for."""
