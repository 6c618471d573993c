"""What a check found out: yes, no, or that it cannot be told; never a secret."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from gateway.syntax.encoding import Json

Answer: TypeAlias = Literal["yes", "no", "cannot be told"]
_WIDTH: Final = len("cannot be told")
_MOST_TEXT: Final = 400


@dataclass(frozen=True, slots=True)
class Finding:
    """An answer to one question.

    Attributes:
        subject: what it is about, as the configuration names it: ``providers.corporate``.
        question: what was asked, to be answered by yes or no.
        answer: yes, no, or that it cannot be told.
        detail: what was found.
        advice: what to do about it; empty where nothing is to be done.
    """

    subject: str
    question: str
    answer: Answer
    detail: str = ""
    advice: str = ""

    def to_line(self) -> str:
        """Return it for a person, in a line."""
        detail = f": {plain(self.detail)}" if self.detail else ""
        advice = f" - {plain(self.advice)}" if self.advice else ""
        return f"{self.answer:<{_WIDTH}}  {plain(self.subject)}: {plain(self.question)}{detail}{advice}"

    def to_json(self) -> dict[str, Json]:
        """Return it for a program."""
        told: dict[str, Json] = {
            "subject": plain(self.subject),
            "question": plain(self.question),
            "answer": self.answer,
        }
        told |= {"detail": plain(self.detail)} if self.detail else {}
        return told | ({"advice": plain(self.advice)} if self.advice else {})


Ask: TypeAlias = Callable[[], Awaitable[Sequence[Finding]]]


@dataclass(frozen=True, slots=True)
class Check:
    """Something to find out, in so many seconds at most.

    ``subject`` and ``question`` say what has not been answered where the time is over.
    """

    subject: str
    question: str
    ask: Ask
    within: float


def plain(text: str) -> str:
    """Return what may come from elsewhere as one line that drives no terminal."""
    return "".join(sign if sign.isprintable() else "?" for sign in text[:_MOST_TEXT])
