"""The command ``explain``: takes the parsed options and returns the exit code; raises CommandError."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from gateway.cli.configuration import load_configuration
from gateway.cli.running import ask_admin
from gateway.cli.terminal import CommandError, say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.cli.questions import Question
    from gateway.config.settings.root import Settings
    from gateway.syntax.encoding import Json


def explain(options: argparse.Namespace) -> int:
    """Tell what would happen to a request."""
    from gateway.cli.explain_text import tell  # noqa: PLC0415 - only this command needs them
    from gateway.cli.questions import json_of  # noqa: PLC0415 - the same

    elsewhere = (options.admin, options.token_file, options.admin_ca)
    is_elsewhere = any(each is not None for each in elsewhere)
    if is_elsewhere and not options.live:
        raise CommandError(
            "gateway: --admin, --token-file and --admin-ca are for --live, which asks a running gateway"
        )
    settings = None if is_elsewhere else load_configuration(options)[1].settings
    try:
        question = _question(options, settings)
        document = dict(_ask(options, question) if options.live else _offline(settings, question))
    except ValueError as error:
        raise CommandError(f"gateway: {error}") from None
    if question.logged is not None:
        document["logged"] = dict(question.logged)
    say(json_of(document) if options.json else "\n".join(tell(document)))
    return 0


def _offline(settings: "Settings | None", question: "Question") -> "Mapping[str, Json]":
    from gateway.cli.explain import account_of  # noqa: PLC0415 - the whole core

    assert settings is not None
    return account_of(settings, question)


def _ask(options: argparse.Namespace, question: "Question") -> "Mapping[str, Json]":
    import json  # noqa: PLC0415 - only one way of one command needs it

    answer = ask_admin(options, "POST", "/explain", json.dumps(question.to_json()))
    if "decision" not in answer:
        raise CommandError("gateway: what listens there is no gateway of this version")
    return cast("Mapping[str, Json]", answer)


def _question(options: argparse.Namespace, settings: "Settings | None") -> "Question":
    """Return what is asked about. Raises ValueError, whose text is safe to show."""
    from urllib.parse import urlsplit  # noqa: PLC0415 - only this command needs them

    from gateway.cli import questions  # noqa: PLC0415 - the same
    from gateway.cli.curl import read_command  # noqa: PLC0415 - the same
    from gateway.config.sites import first_url  # noqa: PLC0415 - the same

    if options.request_id is not None and options.log is None:
        raise ValueError("--request-id is for --log")
    if options.log is not None:
        if options.method is not None:
            raise ValueError("--method is not for --log, which names one")
        text = _saved("--log", options.log)
        return questions.question_of_line(text, options.request_id, options.header, options.client)
    host = None if settings is None else urlsplit(first_url(settings)).netloc
    url, method, fields = options.url, "GET" if options.method is None else options.method, options.header
    if options.curl is not None:
        command = read_command(_saved("--curl", options.curl))
        url, method = command.url, options.method or command.method
        fields = [*command.fields, *options.header]
    return questions.question_of(url, method, fields, host, options.client)


def _saved(option: str, name: str) -> str:
    from gateway.cli.questions import MOST_SAVED  # noqa: PLC0415 - only one way of one command needs it

    try:
        if name == "-":
            data = sys.stdin.buffer.read(MOST_SAVED + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(MOST_SAVED + 1)
    except OSError as error:
        raise CommandError(f"gateway: {option} {name} cannot be read: {error.strerror}") from None
    if len(data) > MOST_SAVED:
        raise CommandError(f"gateway: {option} {name} is too long: give it the one line or command alone")
    return data.decode("utf-8", "replace")
