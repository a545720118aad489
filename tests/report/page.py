"""A report's HTML taken apart again."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """Tags with their attributes, texts of tables, and the data that the figures are drawn from."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self._open: list[str] = []
        self._data = ""
        self.unclosed: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        self.data = json.loads(self._data)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        if not self._open or self._open.pop() != tag:
            self.unclosed.append(tag)

    def handle_data(self, data):
        if self._open and self._open[-1] == "script":
            if dict(self.tags[-1][1]).get("id") == "report-data":
                self._data += data
            return
        if self._open and self._open[-1] != "style":
            self.text += data
        if self._open and self._open[-1] in ("td", "th"):
            self.rows[-1][-1] += data

    @property
    def ids(self) -> set[str]:
        return {attributes["id"] for _, attributes in self.tags if attributes.get("id")}

    def figure(self, name: str) -> dict:
        return next(figure for figure in self.data["figures"] if figure["id"] == name)

    def trace(self, figure: str, name: str) -> dict:
        return next(trace for trace in self.figure(figure)["data"] if trace["name"] == name)
