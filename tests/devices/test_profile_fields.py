"""``hwprofiles/README.md`` describes the fields of a profile as they are."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from natdeploy.devices import HardwareProfile

README = Path(__file__).parents[2] / "hwprofiles" / "README.md"


def rows(model: type[BaseModel] = HardwareProfile, prefix: str = "") -> Iterator[str]:
    """A line of the table for each field, those of sections below their section."""
    for name, field in model.model_fields.items():
        section = next(parts(field.annotation), None)
        path = f"{prefix}{name}" + ("[]" if section and typing.get_origin(field.annotation) is tuple else "")
        yield f"| `{path}` | {field.description}{values(field)} | {default(field)} |"
        if section:
            yield from rows(section, f"{path}.")


def parts(annotation: Any) -> Iterator[type[BaseModel]]:
    """Models inside an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from parts(argument)


def values(field: FieldInfo) -> str:
    """What a field may be, where only some words or numbers are possible."""
    chosen = choices(field.annotation)
    return f": {', '.join(f'`{value}`' for value in chosen)}" if len(chosen) > 1 else ""


def choices(annotation: Any) -> list[Any]:
    if typing.get_origin(annotation) is Literal:
        return list(typing.get_args(annotation))
    return [choice for argument in typing.get_args(annotation) for choice in choices(argument)]


def default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default
    return "" if value is None or value == () or isinstance(value, BaseModel) else f"`{str(value).lower()}`"


def test_the_table_is_that_of_the_schema() -> None:
    written = [line for line in README.read_text().splitlines() if line.startswith("| `")]
    assert written == list(rows()), "replace the table by: python -m tests.devices.test_profile_fields"


if __name__ == "__main__":
    print("\n".join(rows()))
