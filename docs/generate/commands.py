"""The command line's reference, from the command line itself."""

from __future__ import annotations

import re
import subprocess
import sys


def commands_page() -> str:
    """What Typer says of every command, as Markdown. Raises CalledProcessError where the command line does not load."""
    command = [sys.executable, "-m", "typer", "natdeploy.cli.main", "utils", "docs", "--name", "natdeploy"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    text = text.replace("# `natdeploy`\n", "# Command line\n", 1)
    text = re.sub(r"^Example: (.+)$", _example, text, flags=re.MULTILINE)
    # Typer writes each command's list with names cut to 45 characters; the sections below tell it in full.
    text = re.sub(r"\*\*Commands\*\*:\n\n(?:\* .*\n)+", "", text)
    return text


def _example(found: re.Match[str]) -> str:
    lines = "\n".join(found[1].split("; "))
    return f"**Example**:\n\n```sh\n{lines}\n```"
