"""How a user's own program signs bundles and checks signatures, as settings."""

from __future__ import annotations

import shlex
from typing import Annotated, Any

from pydantic import BeforeValidator

from natdeploy.ground.validation import Settings

#: Stand in a command for what is signed, and for the signature.
FILE, SIGNATURE = "{file}", "{signature}"


def signing_command(value: Any) -> tuple[str, ...]:
    """Program and arguments from a text, divided as a shell would, or from a list of texts; no shell will see them.

    Raises ValueError for anything else, and where one of the two places is missing.
    """
    try:
        parts = tuple(shlex.split(value) if isinstance(value, str) else value)
    except (ValueError, TypeError) as error:
        raise ValueError(f"not a command: {error}") from None
    if not parts or not all(isinstance(part, str) for part in parts):
        raise ValueError("expected a program and its arguments")
    if any("\0" in part for part in parts):
        raise ValueError("expected a program and its arguments without NUL characters")
    for place, what in ((FILE, "the file to sign"), (SIGNATURE, "the signature's file")):
        if not any(place in part for part in parts[1:]):
            raise ValueError(f"{place} is missing, which stands for {what}")
    return parts


Command = Annotated[tuple[str, ...], BeforeValidator(signing_command)]


class SigningSettings(Settings):
    """Programs that sign bundles when they are published, and check what was signed.

    A command is a text or a list; ``{file}`` stands for the bundle's ``SHA256SUMS``, ``{signature}`` for its signature.

    Attributes:
        sign: writes the signature.
        verify: ends with status 0 where the signature is right; each bundle is checked by it once it is signed.
    """

    sign: Command
    verify: Command | None = None
