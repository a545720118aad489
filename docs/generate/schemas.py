"""Pages of file formats, from the pydantic models that read and write the files."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import cleandoc
from typing import Any, get_args

import griffe
from docstrings import markdown
from pydantic import BaseModel
from pydantic.fields import FieldInfo

_SHA256 = "^[0-9a-f]{64}$"
_BOUNDS = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))


def schema_page(model: type[BaseModel]) -> str:
    """A table of fields for the model and for each one inside it, the outermost first.

    A field's meaning is its ``description``, or what the docstring of its class says under ``Attributes``. Raises
    ValueError naming a field of which neither says anything: a reference with holes is none.
    """
    return "\n".join(map(_section, _models(model)))


def _models(model: type[BaseModel]) -> list[type[BaseModel]]:
    """The model and those inside it, each where it is first spoken of."""
    found = [model]
    for one in found:  # grows meanwhile
        for field in one.model_fields.values():
            found += [inner for inner in _named_in(field.annotation) if inner not in found]
    return found


def _named_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _named_in(inner)]


def _section(model: type[BaseModel]) -> str:
    schema = model.model_json_schema()
    texts = [_docstring(one.__doc__ or "") for one in model.__mro__ if issubclass(one, BaseModel)]
    meanings = {name: said for _, attributes in reversed(texts) for name, said in attributes.items()}
    lines = [f"## {model.__name__}", "", texts[0][0], ""]
    lines += ["| field | what it holds | default | meaning |", "|---|---|---|---|"]
    for field, value in schema["properties"].items():
        meaning = value.get("description") or meanings.get(field) or _version(field)
        if not meaning:
            raise ValueError(f"{model.__name__}.{field}: neither a description nor a line under Attributes")
        default = "required" if field in schema.get("required", ()) else _default(value)
        kind = ", ".join([_kind(value), *_bounds(model.model_fields[field])])
        lines.append(f"| `{field}` | {kind} | {default} | {_cell(meaning)} |")
    return "\n".join([*lines, ""])


def _version(field: str) -> str:
    return "version of this layout" if field == "schema_version" else ""


def _docstring(text: str) -> tuple[str, dict[str, str]]:
    """The text, and what each attribute means."""
    words, meanings = [], {}
    for section in griffe.parse_google(griffe.Docstring(markdown(cleandoc(text))), warnings=False):
        if section.kind is griffe.DocstringSectionKind.text:
            words.append(section.value)
        elif section.kind is griffe.DocstringSectionKind.attributes:
            meanings |= {item.name: item.description for item in section.value}
    return "\n\n".join(words), meanings


def _kind(value: Mapping[str, Any]) -> str:
    """What a value may be, in words."""
    if "$ref" in value:
        name = value["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if "allOf" in value and len(value["allOf"]) == 1:
        return _kind(value["allOf"][0])
    if "const" in value:
        return f"`{value['const']}`"
    if "enum" in value:
        return "one of " + ", ".join(f"`{one}`" for one in value["enum"])
    if "anyOf" in value:
        return " or ".join(dict.fromkeys(_kind(one) for one in value["anyOf"]))
    if value.get("type") == "array":
        if "prefixItems" in value:
            return "list of " + " and ".join(_kind(one) for one in value["prefixItems"])
        return f"list of {_kind(value.get('items', {}))}"
    if value.get("type") == "object":
        inner = value.get("additionalProperties")
        return f"names with {_kind(inner)}" if isinstance(inner, Mapping) and inner else "names with values"
    if value.get("pattern") == _SHA256:
        return "SHA-256"
    kinds = {"null": "nothing", "integer": "whole number", "boolean": "true or false", "string": "text"}
    return kinds.get(value.get("type", "anything"), value.get("type", "anything"))


def _bounds(field: FieldInfo) -> list[str]:
    """What the schema does not say of numbers that have a check of their own before."""
    metadata = list(field.metadata)
    for inner in get_args(field.annotation):  # of `Annotated[...] | None`
        for item in getattr(inner, "__metadata__", ()):
            metadata += item.metadata if isinstance(item, FieldInfo) else [item]
    found = [(sign, getattr(item, name, None)) for item in metadata for name, sign in _BOUNDS]
    return [f"{sign} {value:g}" for sign, value in found if isinstance(value, (int, float))]


def _default(value: Mapping[str, Any]) -> str:
    default = value.get("default")
    if default is None:
        return ""
    if isinstance(default, Mapping):
        return "its defaults"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, list):
        return ", ".join(f"`{one}`" for one in default) or "none"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def _cell(text: str) -> str:
    return " ".join(text.replace("``", "`").split()).replace("|", "\\|")
