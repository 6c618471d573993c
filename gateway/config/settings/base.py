"""What every section of the configuration is made of: a strict model, texts, numbers, durations.

Durations are seconds once parsed (``8h``, ``60s``, ``7d`` in the file).
"""

import ast
import inspect
import re
from itertools import pairwise
from typing import Annotated, ClassVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    SecretStr,
    StringConstraints,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

_DURATION = re.compile(r"(?P<number>[0-9]{1,9}(?:\.[0-9]{1,3})?)(?P<unit>ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(value: object) -> object:
    """Turn ``90s``, ``8h`` or ``7d`` into seconds; leave a number for pydantic to judge.

    Raises:
        ValueError: a string that is no duration, or a truth value.
    """
    if isinstance(value, bool):
        raise ValueError("write a duration as a number with a unit: 500ms, 60s, 10m, 8h or 7d")  # noqa: TRY004
    if not isinstance(value, str):
        return value
    if (match := _DURATION.fullmatch(value)) is None:
        raise ValueError("write a duration as a number with a unit: 500ms, 60s, 10m, 8h or 7d")
    return float(match["number"]) * _SECONDS[match["unit"]]


def no_truth(value: object) -> object:
    """Leave a value for pydantic to judge, but no truth value: true would count as the number 1.

    Raises:
        ValueError: it is a truth value.
    """
    if isinstance(value, bool):
        raise ValueError("write a number")  # noqa: TRY004 - pydantic collects ValueError alone
    return value


UNION_TAGS = ("<word>", "<section>")
"""Parts of an error's location that are pydantic's and stand for nothing in the file."""

_WrittenDuration = (
    Annotated[str, Field(pattern=r"^[0-9]{1,9}(\.[0-9]{1,3})?(ms|s|m|h|d)$")] | Annotated[float, Field(ge=0)]
)
as_duration = BeforeValidator(parse_duration, json_schema_input_type=_WrittenDuration)

Text = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
Secret = Annotated[SecretStr, Field(min_length=1, max_length=16384)]
Duration = Annotated[float, Field(gt=0, le=10 * 365 * 86400), as_duration]
Number = Annotated[int, BeforeValidator(no_truth)]


class Model(BaseModel):
    """The base of every section: frozen, and an unknown key is an error."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        strict=False,
    )
    told_once: ClassVar[bool] = False
    """Whether it may stand in many places, and is told of at one."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the section's JSON Schema with the texts below its settings as their descriptions.

        pydantic would look for them whenever a process starts (``use_attribute_docstrings``), and that takes
        as long as everything else about the settings.
        """
        made = handler(core_schema)
        properties = handler.resolve_ref_schema(made)["properties"]
        texts = described(cls)
        for name, setting in written_names(cls).items():
            text = texts.get(setting)
            if text is None:
                continue
            # a section that says the same of itself says it once
            if handler.resolve_ref_schema(properties[name]).get("description") != text:
                properties[name]["description"] = text
        return made


def written_names(section: type[Model]) -> dict[str, str]:
    """Return a section's settings by the names that they have in the file, each with its attribute's."""
    return {field.alias or name: name for name, field in section.model_fields.items()}


def described(section: type[Model]) -> dict[str, str]:
    """Return the text below each of a section's own settings; of no section where sources are absent."""
    try:
        (found,) = ast.parse(inspect.getsource(section)).body
    except OSError:
        return {}
    assert isinstance(found, ast.ClassDef)
    return {
        setting.target.id: inspect.cleandoc(text.value.value)
        for setting, text in pairwise(found.body)
        if isinstance(setting, ast.AnnAssign)
        and isinstance(setting.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }
