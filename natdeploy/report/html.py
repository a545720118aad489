"""The page: one HTML file with style, script, plotly.js and data inside. Nothing is ever fetched."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import Any

from natdeploy.report.figure import Figure
from natdeploy.report.table import Table

#: The browser itself refuses whatever is not in the file.
CONTENT_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"


def page(title: str, sections: Sequence[str], figures: Sequence[Figure], data: dict[str, Any]) -> str:
    """The whole document.

    Args:
        title: plain text.
        sections: HTML of the body, made by the functions below.
        figures: drawn into the elements that :func:`figure_html` left for them.
        data: further JSON for the script.
    """
    from plotly.offline import get_plotlyjs

    payload = {**data, "figures": [figure.to_json() for figure in figures]}
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{CONTENT_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(title)}</title>",
            f"<style>{_asset('style.css')}</style>",
            "</head>",
            "<body>",
            *sections,
            f'<script type="application/json" id="report-data">{_json(payload)}</script>',
            f"<script>{get_plotlyjs()}</script>",
            f"<script>{_asset('cloud.js')}</script>",
            f"<script>{_asset('script.js')}</script>",
            "</body>",
            "</html>",
            "",
        ]
    )


def section(heading: str, *parts: str) -> str:
    """A section with its heading."""
    return f"<section>\n<h2>{escape(heading)}</h2>\n" + "\n".join(parts) + "\n</section>"


def paragraph(text: str, kind: str = "") -> str:
    """Plain text as a paragraph."""
    return f'<p class="{escape(kind)}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def bullets(items: Sequence[str]) -> str:
    """Plain texts as a list."""
    return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"


def details(summary: str, *parts: str) -> str:
    """Something to unfold."""
    return f"<details><summary>{escape(summary)}</summary>" + "\n".join(parts) + "</details>"


def figure_html(figure: Figure) -> str:
    """Room for a figure, with its caption."""
    name = escape(figure.id)
    tall = f' style="height: {figure.height_rem}rem"' if figure.height_rem else ""
    return (
        f'<figure><div class="plot" id="figure-{name}"{tall} role="img" aria-label="{escape(figure.title)}" '
        f'aria-describedby="caption-{name}"></div>'
        f'<figcaption id="caption-{name}">{escape(figure.caption)}</figcaption></figure>'
    )


def table_html(table: Table) -> str:
    """A table that scrolls sideways where it is wider than the screen."""
    kinds = [' class="number"' if column.numeric else "" for column in table.columns]
    head = "".join(f'<th scope="col"{kind}>{escape(c.name)}</th>' for kind, c in zip(kinds, table.columns))
    rows = "".join(
        "<tr>" + "".join(f"<td{kind}>{escape(cell)}</td>" for kind, cell in zip(kinds, row)) + "</tr>\n"
        for row in table.rows
    )
    label = escape(table.title)
    kind = "scroll" if any(column.numeric for column in table.columns) else "scroll wrap"
    return (
        f'<div class="{kind}" tabindex="0" role="region" aria-label="{label}"><table><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{rows}</tbody></table></div>"
    )


def tiles(items: Sequence[tuple[str, str, str]]) -> str:
    """Headline figures: label, value, what it is taken from."""
    cells = "".join(
        f"<div><dt>{escape(label)}</dt><dd>{escape(value)}</dd><dd class='note'>{escape(note)}</dd></div>"
        for label, value, note in items
    )
    return f'<dl class="tiles">{cells}</dl>'


def _asset(name: str) -> str:
    return files("natdeploy.report").joinpath("page").joinpath(name).read_text(encoding="utf-8")


def _json(value: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
