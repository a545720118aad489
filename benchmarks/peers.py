"""Environments for other tools, each its own, so that what they need cannot disturb what natdeploy needs."""

from __future__ import annotations

import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path


def peer_folder(name: str, requirements: Sequence[str], without_dependencies: Sequence[str] = ()) -> Path:
    """Where the environment of these requirements is, or will be; one that is whole holds a file ``complete``."""
    from natdeploy.ground.files import cache_root, content_key

    key = content_key([sys.version, list(requirements), list(without_dependencies)])
    return cache_root() / "peers" / f"{name}-{key[:12]}"


def peer_python(name: str, requirements: Sequence[str], *, without_dependencies: Sequence[str] = ()) -> Path:
    """The interpreter of an environment that holds ``requirements``; made at first use, kept in the cache folder.

    Raises BadInput when the packages cannot be installed.
    """
    from natdeploy.ground.errors import BadInput
    from natdeploy.ground.files import write_text

    folder = peer_folder(name, requirements, without_dependencies)
    python, done = folder / "bin" / "python", folder / "complete"
    if done.exists():
        return python
    print(f"installing {name} into {folder}", file=sys.stderr, flush=True)
    venv.create(folder, with_pip=True, clear=True)
    for packages, options in ((requirements, []), (without_dependencies, ["--no-deps"])):
        if not packages:
            continue
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *options, *packages]
        if subprocess.run(command, stdout=sys.stderr).returncode:
            raise BadInput(f"{' '.join(packages)} cannot be installed; the lines above say why")
    write_text(done, "")
    return python
