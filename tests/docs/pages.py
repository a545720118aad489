"""The documents that people read, and the blocks in them."""

from __future__ import annotations

import re
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
#: Pages that were written by hand; the others are generated when the documentation is built.
PAGES = sorted((CHECKOUT / "docs").rglob("*.md"))
DOCUMENTS = [CHECKOUT / "README.md", CHECKOUT / "CONTRIBUTING.md", *PAGES]
#: Stands above a block that is not done by the test of the page it is on; says why.
NOT_RUN = "<!-- not run by the tests:"


def text_of(document: Path) -> str:
    """A document with the files that it includes."""
    text = document.read_text(encoding="utf-8")
    return re.sub(r'--8<-- "(.+?)"\n', lambda found: (CHECKOUT / found[1]).read_text(encoding="utf-8"), text)


def blocks(document: Path, *languages: str) -> list[str]:
    """Contents of a document's blocks of code in these languages, those that are not to be run left out."""
    found = re.findall(r"(<!--[^\n]*-->\n)?```(\w+)[^\n]*\n(.*?)```", text_of(document), re.DOTALL)
    return [code for comment, language, code in found if language in languages and not comment.startswith(NOT_RUN)]
