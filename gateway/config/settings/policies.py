"""Settings of policies: what an identity, or its request, must hold."""

from typing import Annotated, ClassVar, TypeAlias

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StringConstraints,
    Tag,
)

from gateway.config.settings.base import UNION_TAGS, Duration, Model, Text

Scalar: TypeAlias = StrictBool | StrictInt | Annotated[StrictFloat, Field(allow_inf_nan=False)] | Text
"""A JSON scalar but null, which says of a claim that it is absent."""

ContactText = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class ConditionSettings(Model):
    """What a claim must be; every line must be satisfied. A claim that is absent satisfies none."""

    equals: Scalar | None = None
    """The claim itself is this value."""
    contains: Scalar | None = None
    """The claim is a list that has this member, or this value."""
    any_of: tuple[Scalar, ...] | None = Field(default=None, min_length=1)
    """The claim, or a member of it, is one of these values."""
    all_of: tuple[Scalar, ...] | None = Field(default=None, min_length=1)
    """The claim is a list that has all of these members."""
    matches: Text | None = None
    """The claim, or a member of it, matches this regular expression as a whole."""


def _claim_kind(value: object) -> str:
    return UNION_TAGS[1] if isinstance(value, dict | ConditionSettings) else UNION_TAGS[0]


ClaimCondition = Annotated[
    Annotated[Scalar | Annotated[tuple[Scalar, ...], Field(min_length=1)], Tag(UNION_TAGS[0])]
    | Annotated[ConditionSettings, Tag(UNION_TAGS[1])],
    Discriminator(_claim_kind),
]


def _named(value: object) -> object:
    return {"policies": [value]} if isinstance(value, str) else value


class RequireSettings(Model):
    """What an identity must hold; every line must be satisfied.

    Each names a policy of ``POLICIES``, but for ``policies``, ``all``, ``any`` and ``not``, which put
    policies together, and ``description``.
    """

    # what stands under a name that is a word of Python travels under that name as well
    model_config = ConfigDict(serialize_by_alias=True)
    told_once: ClassVar[bool] = True

    scopes: tuple[Text, ...] | None = Field(default=None, min_length=1)
    """Every one of these scopes."""
    groups: tuple[Text, ...] | None = Field(default=None, min_length=1)
    """At least one of these groups."""
    roles: tuple[Text, ...] | None = Field(default=None, min_length=1)
    """At least one of these roles."""
    claims: dict[Text, ClaimCondition] | None = Field(default=None, min_length=1)
    """Every one of these claims; a list names the values of which one is enough."""
    email_domains: tuple[Text, ...] | None = Field(default=None, min_length=1)
    """A verified e-mail address in one of these domains."""
    networks: tuple[Text, ...] | None = Field(default=None, min_length=1)
    """A client's address in one of these networks."""
    methods: tuple[Text, ...] | None = Field(default=None, min_length=1)
    """One of these request methods."""
    acr: tuple[Text, ...] | None = Field(default=None, min_length=1)
    """One of these authentication contexts; a browser is sent to step up (RFC 9470)."""
    max_age: Duration | None = None
    """The longest time since the person last authenticated (RFC 9470)."""
    policies: tuple[Text, ...] | None = Field(default=None, min_length=1)
    """Every one of these named policies."""
    all: "tuple[Require, ...] | None" = Field(default=None, min_length=1)
    """Every one of these policies."""
    any: "tuple[Require, ...] | None" = Field(default=None, min_length=1)
    """At least one of these policies."""
    not_: "Require | None" = Field(default=None, alias="not")
    """None of the lines of this policy; one of which nobody knows whether it holds refuses."""
    description: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    """What a refused person is told that they lack, in words of your own."""


Require = Annotated[RequireSettings, BeforeValidator(_named, json_schema_input_type=Text | RequireSettings)]
"""A policy, or the name of one."""

RequireSettings.model_rebuild()
