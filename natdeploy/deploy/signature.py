"""Signatures of bundles, by a program of the user's choice (cosign, GnuPG, minisign, OpenSSL).

What is signed is ``SHA256SUMS``, which holds the digests of all else. The signature lies beside it and is the one file
that no checksum covers. Checksums show damage; a signature shows who vouches for them.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from natdeploy.deploy.integrity import SIGNATURE, SUMS
from natdeploy.ground.errors import BadInput, VerificationFailed
from natdeploy.ground.files import readable_disk_errors
from natdeploy.runs.signing import FILE
from natdeploy.runs.signing import SIGNATURE as SIGNATURE_PLACE

#: Longest that a program may take; some ask a server.
TIMEOUT_S = 300.0


def sign(bundle: Path, command: Sequence[str]) -> Path:
    """Sign a bundle; an older signature is replaced.

    Args:
        bundle: its folder.
        command: as :func:`natdeploy.runs.signing.signing_command` gives it.

    Returns the signature's path. Raises BadInput where the program is missing, fails, takes too long or writes nothing;
    the bundle is as it was then.
    """
    with readable_disk_errors(bundle), tempfile.TemporaryDirectory(prefix=".signing.", dir=bundle.parent) as folder:
        new = Path(folder) / SIGNATURE
        fault = _run(command, bundle / SUMS, new)
        if fault is None and not (new.is_file() and new.stat().st_size):
            fault = "it ended well and wrote no signature"
        if fault is not None:
            raise BadInput(f"{bundle}: not signed: {command[0]}: {fault}; see field 'signing.sign' of the pipeline")
        new.chmod(0o644)
        os.replace(new, bundle / SIGNATURE)
    return bundle / SIGNATURE


def check_signature(bundle: Path, command: Sequence[str]) -> None:
    """Have a bundle's signature checked.

    Args:
        bundle: its folder.
        command: as :func:`natdeploy.runs.signing.signing_command` gives it.

    Raises BadInput where the program cannot be started, VerificationFailed for a bundle without a signature and where
    the program does not accept it.
    """
    if not (bundle / SIGNATURE).is_file() or (bundle / SIGNATURE).is_symlink():
        raise VerificationFailed(f"{bundle / SIGNATURE}: missing; the bundle is not signed")
    if (fault := _run(command, bundle / SUMS, bundle / SIGNATURE)) is not None:
        raise VerificationFailed(f"{bundle / SIGNATURE}: not accepted by {command[0]}: {fault}")


def _run(command: Sequence[str], file: Path, signature: Path) -> str | None:
    """What went wrong in one line, or None. Raises BadInput for a program that cannot be started."""
    filled = [part.replace(FILE, str(file)).replace(SIGNATURE_PLACE, str(signature)) for part in command]
    try:
        done = subprocess.run(
            filled, capture_output=True, stdin=subprocess.DEVNULL, timeout=TIMEOUT_S, text=True, errors="replace"
        )
    except subprocess.TimeoutExpired:
        return f"no answer after {TIMEOUT_S:g} s"
    except OSError as error:
        raise BadInput(f"{command[0]}: cannot be started: {error.strerror or error}; it is to sign bundles") from None
    if done.returncode == 0:
        return None
    lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return f"exit status {done.returncode}" + (f": {lines[-1].strip()}" if lines else "")
