"""A configuration of oauth2-proxy, translated: all of it, or an error for each option that cannot be."""

from collections.abc import Callable
from pathlib import Path

from gateway.cli.oauth2_proxy.alpha import Alpha
from gateway.cli.oauth2_proxy.alpha_parts import put_alpha_headers, put_alpha_upstreams
from gateway.cli.oauth2_proxy.draft import Draft
from gateway.cli.oauth2_proxy.headers import put_headers
from gateway.cli.oauth2_proxy.options import Options
from gateway.cli.oauth2_proxy.people import put_people
from gateway.cli.oauth2_proxy.providers import put_providers
from gateway.cli.oauth2_proxy.routes import put_routes, put_upstreams
from gateway.cli.oauth2_proxy.server import put_server
from gateway.cli.oauth2_proxy.table import OPTIONS


def translate(
    options: Options, public_url: str | None, read: Callable[[Path], str], alpha: Alpha | None = None
) -> Draft:
    """Return what a file becomes.

    Args:
        options: of the file, and of the alpha configuration.
        public_url: the site, where the file does not name it; None: as it does.
        read: returns a file's text; raises OSError, UnicodeDecodeError.
        alpha: the alpha configuration; None where there is none.
    """
    draft = Draft()
    put_server(options, draft, public_url)
    put_providers(options, draft)
    put_people(options, draft, read)
    if alpha is None:
        put_headers(options, draft)
        put_upstreams(options, draft)
    else:
        put_alpha_headers(options, alpha, draft)
        put_alpha_upstreams(alpha, draft)
        draft.notes += alpha.notes
        for provider in list(draft.sections.get("providers", {}).values())[:1]:
            if alpha.parameters:
                provider.setdefault("extra_authorization_parameters", {}).update(alpha.parameters)
    put_routes(options, draft)
    _tell(options, draft)
    return draft


def _tell(options: Options, draft: Draft) -> None:
    """Tell of each option that is given and is not there: whether that keeps the file from being."""
    for name in options.given:
        option = OPTIONS[name]
        if option.verdict == "not!":
            draft.error(name, option.words)
        elif option.verdict == "not":
            draft.note(name, option.words)
