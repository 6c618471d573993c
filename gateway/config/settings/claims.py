"""Settings of what a provider's claims become."""

from typing import Annotated, TypeAlias

from pydantic import Discriminator, Field, StrictBool, StrictInt, Tag

from gateway.config.settings.base import UNION_TAGS, Model, Text

Constant: TypeAlias = StrictBool | StrictInt | Text


class ClaimSettings(Model):
    """Where the value of one claim comes from: one of these, and ``default`` where that is nothing."""

    path: Text | None = None
    """The claim at this path, such as ``realm_access.roles`` or ``teams[].slug``."""
    first_of: tuple[Text, ...] | None = Field(default=None, min_length=1, max_length=16)
    """The first of these paths that leads to anything but an empty text or list."""
    list_of: tuple[Text, ...] | None = Field(default=None, min_length=1, max_length=16)
    """What all of these paths lead to, as one list without doubles."""
    keys_of: Text | None = None
    """The names of the members of the object at this path: roles that are told as an object (Zitadel)."""
    value: Constant | Annotated[tuple[Constant, ...], Field(min_length=1, max_length=100)] | None = None
    """The same for everybody."""
    template: Text | None = None
    """A text with paths in braces: ``{given_name} {family_name}``; absent where any of them leads nowhere."""
    default: Constant | None = None
    """The value where there is none."""


def _claim_kind(value: object) -> str:
    return UNION_TAGS[1] if isinstance(value, dict | ClaimSettings) else UNION_TAGS[0]


ClaimSource: TypeAlias = Annotated[
    Annotated[Text, Tag(UNION_TAGS[0])] | Annotated[ClaimSettings, Tag(UNION_TAGS[1])],
    Discriminator(_claim_kind),
]
"""A path, or a section that says more."""
