"""Asks for the answers that no option gives; each is judged at once, and asked for anew where it is wrong."""

import argparse
import sys
from collections.abc import Callable
from typing import Final

from gateway.cli.init import answers
from gateway.cli.init.providers import GENERIC, KNOWN, issuer_of, judge_issuer
from gateway.cli.terminal import CommandError, complain

_MOST_TRIES: Final = 20
_FLAGS: Final = "--public-url, --provider, --client-id, --client-secret-file, --upstream, --who"


class Asking:
    """The questions, on a terminal; without one every answer comes by an option.

    Args:
        options: of the command line.
        read_secret: returns the secret in a file; raises CommandError.
        see_issuer: asks a provider, by name and issuer; returns what is wrong, or None.
    """

    def __init__(
        self,
        options: argparse.Namespace,
        read_secret: Callable[[str], str],
        see_issuer: Callable[[str, str], str | None],
    ) -> None:
        self._options = options
        self._read_secret = read_secret
        self._see_issuer = see_issuer
        self._is_terminal = sys.stdin.isatty()

    def public_url(self) -> str:
        """Where do browsers find the gateway?"""
        return self._answer(
            "public_url",
            "1/6  Where do browsers find the gateway? What the address bar shows",
            answers.judge_public_url,
            example="https://app.example.com",
        ).rstrip("/")

    def provider(self) -> tuple[str, str]:
        """Who says who somebody is? Return its name and its issuer."""
        name = self._answer(
            "provider",
            f"2/6  Who says who people are? {', '.join(KNOWN)}, or the URL of an issuer",
            answers.judge_provider,
            example="keycloak",
        )
        if name not in KNOWN:
            return self._seen("oidc", name)
        known = KNOWN[name]
        if not known.where and self._options.issuer is None:
            return self._seen(name, known.issuer)
        issuer = self._answer(
            "issuer",
            f"     {known.label}: {known.where or 'its issuer'}",
            lambda text: judge_issuer(name, issuer_of(name, text)),
            default=known.issuer,
        )
        return self._seen(name, issuer_of(name, issuer))

    def _seen(self, name: str, issuer: str) -> tuple[str, str]:
        """Offer to ask the provider, and return its name and issuer."""
        if (
            self._is_terminal
            and not self._options.online
            and self._agreed("     Ask it now whether it is there?")
        ):
            wrong = self._see_issuer(name, issuer)
            if wrong is None:
                complain(f"     {issuer}: found")
            else:
                complain(f"     {wrong}")
                if not self._agreed("     Go on with it all the same?", default=False):
                    raise CommandError("gateway: nothing was written")
        return name, issuer

    def client_id(self) -> str:
        """Who is the gateway there?"""
        return self._answer(
            "client_id", "3/6  Which client id did the provider give?", answers.judge_client_id, example="app"
        )

    def client_secret(self) -> str:
        """Return its secret, which is not shown; empty for a public client."""
        if self._options.client_secret_file is not None:
            secret = self._read_secret(self._options.client_secret_file)
            if (wrong := answers.judge_secret(secret)) is not None:
                raise CommandError(f"gateway: --client-secret-file: {wrong}")
            return secret
        self._need_terminal()
        from getpass import getpass  # noqa: PLC0415 - only this question needs it

        for _ in range(_MOST_TRIES):
            try:
                secret = getpass(
                    "4/6  And which client secret? It is not shown; none for a public client: "
                ).strip()
            except EOFError:
                raise _gone() from None
            wrong = answers.judge_secret(secret)
            if wrong is None:
                return secret
            complain(f"     {wrong}")
        raise _gone()

    def upstream(self) -> str:
        """Where is the application?"""
        return self._answer(
            "upstream",
            "5/6  Where is the application? http://host:port, https://host:port or unix:/path",
            answers.judge_upstream,
            default="http://127.0.0.1:3000",
        ).rstrip("/")

    def who(self, provider: str) -> str:
        """Who may come in?"""
        known = KNOWN.get(provider, GENERIC)
        groups = ", group:staff for groups" if known.groups else ""
        return self._answer(
            "who",
            f"6/6  Who may come in? everybody who can log in there, @example.com for a domain{groups}",
            lambda text: answers.judge_who(text, known),
        )

    def _answer(
        self,
        name: str,
        question: str,
        judge: Callable[[str], str | None],
        *,
        default: str = "",
        example: str = "",
    ) -> str:
        given = getattr(self._options, name)
        if given is not None:
            if (wrong := judge(given)) is not None:
                raise CommandError(f"gateway: --{name.replace('_', '-')}: {wrong}")
            return str(given)
        if not self._is_terminal and default and name == "issuer":
            return default
        self._need_terminal()
        hint = f" [{default}]" if default else f" (such as {example})" if example else ""
        for _ in range(_MOST_TRIES):
            text = _line(f"{question}{hint}: ") or default
            wrong = judge(text)
            if wrong is None:
                return text
            complain(f"     {wrong}")
        raise _gone()

    def _agreed(self, question: str, *, default: bool = True) -> bool:
        text = _line(f"{question} [{'Y/n' if default else 'y/N'}] ").lower()
        return text in ("y", "yes") if text else default

    def _need_terminal(self) -> None:
        if not self._is_terminal:
            raise CommandError(f"gateway: without a terminal every answer is an option: {_FLAGS}")


def _line(prompt: str) -> str:
    sys.stderr.write(prompt)
    sys.stderr.flush()
    text = sys.stdin.readline()
    if not text:
        raise _gone()
    return text.strip()


def _gone() -> CommandError:
    complain("")
    return CommandError("gateway: nothing was written")
