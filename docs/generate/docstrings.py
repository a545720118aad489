"""From the docstrings as they stand in the code to Markdown, which is what mkdocstrings takes them for."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:func|class|meth|mod|data|attr|exc):`~?([^`]+)`")
_SHARED = re.compile(r"( +)(\w+(?:, \w+)+): (.*)")
_TABLE_RULE = re.compile(r"=+(?: +=+)+")


def markdown(text: str) -> str:
    """``a, b: ...`` is said of each; roles become code, ``::`` before a literal block a colon, ruled tables code."""
    lines: list[str] = []
    waiting: tuple[str, list[str], list[str]] | None = None  # indent, names, the text they share
    for line in text.splitlines():
        if waiting is not None and line.startswith(f"{waiting[0]} "):
            waiting[2].append(line)
            continue
        lines += _said_of_each(waiting)
        found = _SHARED.fullmatch(line)
        waiting = (found[1], found[2].split(", "), [found[3]]) if found else None
        if found is None:
            lines.append(line)
    lines += _said_of_each(waiting)
    return re.sub(r"::$", ":", _ROLE.sub(r"`\1`", _fence_tables("\n".join(lines))), flags=re.MULTILINE)


def _said_of_each(shared: tuple[str, list[str], list[str]] | None) -> list[str]:
    if shared is None:
        return []
    indent, names, (first, *rest) = shared
    return [line for name in names for line in (f"{indent}{name}: {first}", *rest)]


def _fence_tables(text: str) -> str:
    """A table between rules of equals signs, shown as it is written."""
    lines = text.splitlines()
    rules = [number for number, line in enumerate(lines) if _TABLE_RULE.fullmatch(line.strip())]
    for number in (rules[:1] + rules[-1:])[::-1] if len(rules) > 1 else []:
        lines.insert(number + (number != rules[0]), "```")
    return "\n".join(lines)


class MarkdownDocstrings(griffe.Extension):
    """Griffe's hook: every docstring goes through :func:`markdown`."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called once for each module, class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)
