"""The texts of one language: as they are shipped, with what the configuration changes.

Every language has the same groups and names as English; what it lacks is English. Groups are reasons and
whole pages (``title``, ``message``, ``advice``), and those of ``texts/labels.py``.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

from gateway.config.checks.problems import suggestion
from gateway.config.settings.pages import MOST_LINES, MOST_TEXT
from gateway.edge.rendering.pages.texts import ENGLISH, german

OneText: TypeAlias = "str | tuple[str, ...]"
Groups: TypeAlias = Mapping[str, Mapping[str, OneText]]

_SLOT: Final = re.compile(r"\{\{([a-z_]*)\}\}|\{\{|\}\}")

_SHIPPED: Final[dict[str, Groups]] = {"en": ENGLISH, "de": german.GERMAN}


def texts_of(language: str, changes: Groups) -> Groups:
    """Return every text of a language.

    Args:
        language: its tag; ``de-AT`` builds on what ``de`` has.
        changes: the configuration's own texts of it.
    """
    shipped = _SHIPPED.get(language) or _SHIPPED.get(language.partition("-")[0].lower(), {})
    return {
        group: {**names, **shipped.get(group, {}), **_as_texts(changes.get(group, {}))}
        for group, names in ENGLISH.items()
    }


def _as_texts(names: Mapping[str, OneText]) -> dict[str, OneText]:
    return {name: each if isinstance(each, str) else tuple(each) for name, each in names.items()}


def problems(changes: object) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield what is wrong with texts of a configuration, as read from YAML: where, and why."""
    if not isinstance(changes, dict):
        yield (), "write groups of texts by name, indented below"
        return
    for group, names in changes.items():
        known = ENGLISH.get(group)
        if known is None:
            yield (group,), f"there are no texts of this name{suggestion(group, ENGLISH)}"
        elif not isinstance(names, dict):
            yield (group,), f"write texts by name, indented below: {', '.join(known)}"
        else:
            for name, text in names.items():
                if name not in known:
                    yield (group, name), f"there is no such text{suggestion(name, known)}"
                elif (message := _judge(text, known[name])) is not None:
                    yield (group, name), message


def _judge(text: object, known: OneText) -> str | None:
    if isinstance(known, str):
        if not isinstance(text, str) or not text.strip():
            return "write a text, in quotes if it looks like a number or a truth value"
        return _judge_slots(text, slots_of(known))
    if not isinstance(text, list | tuple) or not all(isinstance(each, str) and each.strip() for each in text):
        return "write a list of texts"
    if len(text) > MOST_LINES:
        return f"more than {MOST_LINES} texts"
    slots = {"moment"}
    return next((found for each in text if (found := _judge_slots(each, slots)) is not None), None)


def _judge_slots(text: str, known: set[str]) -> str | None:
    if len(text) > MOST_TEXT:
        return f"more than {MOST_TEXT} characters"
    for match in _SLOT.finditer(text):
        if match[1] not in known:
            shown = ", ".join(f"{{{{{each}}}}}" for each in sorted(known)) or "none"
            return f"a text may have these slots alone: {shown}"
    return None


def slots_of(text: str) -> set[str]:
    """Return the names of the slots of a text."""
    return {match[1] for match in _SLOT.finditer(text) if match[1]}
