"""Folders as one file: the same bytes for the same content, and nothing written outside when it is unpacked.

Artifact stores of CI systems forget which files are executable; an archive keeps that.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from natdeploy.deploy.integrity import plain_files
from natdeploy.ground.errors import BadInput, VerificationFailed
from natdeploy.ground.files import atomic_folder, write_bytes

SUFFIX = ".tar.gz"
#: Most bytes that an archive may unpack to.
MOST_BYTES = 4 << 30


def pack_folder(folder: Path, archive: Path, *, names: Sequence[str] | None = None) -> Path:
    """Write a folder's plain files as ``archive`` (tar, gzip), below the folder's own name; all, or some ``names``.

    Sorted, without times, owners and any mode but the executable bit: equal folders give equal bytes.

    Raises VerificationFailed naming a symbolic link or anything else that is no plain file.
    """
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=buffer, mtime=0, compresslevel=6) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name in plain_files(folder) if names is None else sorted(names):
            path = folder / name
            member = tarfile.TarInfo(f"{folder.name}/{name}")
            member.size = path.stat().st_size
            member.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
            with open(path, "rb") as file:
                tar.addfile(member, file)
    write_bytes(archive, buffer.getvalue())
    return archive


def unpack_folder(archive: Path, folder: Path) -> Path:
    """Unpack what :func:`pack_folder` wrote; ``folder`` becomes its root, whole or not at all.

    Raises BadInput for a file that is no such archive, VerificationFailed naming a member that would lie outside, that
    is a link or a device, that is listed twice, or that makes the archive too large. Nothing is written then.
    """
    try:
        with tarfile.open(archive, mode="r:gz") as tar:
            members = tar.getmembers()
            files = {_place(archive, member): member for member in members if not member.isdir()}
            if len(files) != sum(not member.isdir() for member in members):
                raise VerificationFailed(f"{archive}: lists a file twice; take the archive from its source again")
            if not files:
                raise BadInput(f"{archive}: holds no files; expected an archive that natdeploy ci build wrote")
            if sum(member.size for member in members) > MOST_BYTES:
                raise VerificationFailed(f"{archive}: unpacks to more than {MOST_BYTES >> 30} GiB; not unpacked")
            with atomic_folder(folder) as new:
                for place, member in files.items():
                    content = tar.extractfile(member)
                    assert content is not None  # a plain file has content
                    path = new / place
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content.read())
                    path.chmod(0o755 if member.mode & 0o100 else 0o644)
    except FileNotFoundError:
        raise BadInput(f"{archive}: no such archive") from None
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise BadInput(f"{archive}: not a readable archive: {error}") from None
    return folder


def _place(archive: Path, member: tarfile.TarInfo) -> PurePosixPath:
    """Where a member goes below the root. Raises VerificationFailed for one that must not be unpacked."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or "\\" in member.name:
        raise VerificationFailed(f"{archive}: member {member.name!r} would be written outside of its folder; refused")
    if not member.isfile():
        raise VerificationFailed(f"{archive}: member {member.name!r} is a link or no plain file; refused")
    if len(path.parts) < 2:
        raise VerificationFailed(f"{archive}: member {member.name!r} lies beside the archive's folder; refused")
    return PurePosixPath(*path.parts[1:])
