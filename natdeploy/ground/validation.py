"""Pydantic models for files people write: one line that names file and field when something does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from natdeploy.ground.errors import BadInput


class Settings(BaseModel):
    """Base of all configuration: immutable, unknown fields are errors, defaults are checked too."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


def _not_a_switch(value: Any) -> Any:
    """YAML's ``yes`` and ``true`` are not the number 1."""
    if isinstance(value, bool):
        raise ValueError("expected a number, not true or false")
    return value


#: Whole and finite real numbers; ``true`` is neither.
Whole = Annotated[int, BeforeValidator(_not_a_switch)]
Real = Annotated[float, BeforeValidator(_not_a_switch), Field(allow_inf_nan=False)]

Model = TypeVar("Model", bound=BaseModel)
Made = TypeVar("Made")


def validate(model: type[Model], value: Any, source: str | Path) -> Model:
    """Build a model from plain data. Raises BadInput naming ``source``, the field and what was expected."""
    if not isinstance(value, Mapping):
        raise BadInput(f"{source}: expected fields with values, not {value!r:.60}")
    try:
        return model.model_validate(dict(value))
    except ValidationError as error:
        raise BadInput(f"{source}: {_first_fault(error)}") from None


def checked(kind: type[Made], value: Mapping[str, Any], source: str | Path) -> Made:
    """Build a plain dataclass, each field checked against its annotation. Raises BadInput as :func:`validate` does."""
    try:
        return TypeAdapter(kind).validate_python(dict(value))
    except ValidationError as error:
        raise BadInput(f"{source}: {_first_fault(error)}") from None


def read_yaml(path: Path, what: str) -> Any:
    """Read a YAML file safely (plain data only). ``what`` names its kind in the error."""
    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"{path}: no such {what}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not plain YAML"
        raise BadInput(f"{path}: not a readable {what}{where}: {problem}") from None
    except (OSError, ValueError, RecursionError) as error:  # 2001-99-99 is a date to YAML until it is made one
        raise BadInput(f"{path}: not a readable {what}: {error}") from None


def _first_fault(error: ValidationError) -> str:
    """The first fault in one line; how many more there are."""
    faults = error.errors()
    first = faults[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        text = f"unknown field {field!r}; remove it or correct its name"
    elif first["type"] == "missing":
        text = f"field {field!r} is missing"
    else:
        message = first["msg"].removeprefix("Value error, ")
        text = f"field {field!r}: {message} (found {first['input']!r:.60})" if field else message
    return text + (f" (and {len(faults) - 1} more)" if len(faults) > 1 else "")
