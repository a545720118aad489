"""Archives: equal bytes for equal content, and no way out of the folder they are unpacked to."""

from __future__ import annotations

import errno
import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natdeploy.deploy.archive import pack_folder, unpack_folder
from natdeploy.ground.errors import BadInput, VerificationFailed


def made(folder: Path, name: str = "bundle") -> Path:
    path = folder / name
    (path / "native").mkdir(parents=True)
    (path / "native" / "model_run").write_bytes(b"\x7fELF" * 100)
    (path / "native" / "model_run").chmod(0o755)
    (path / "manifest.json").write_text("{}\n")
    return path


def tar_of(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def test_equal_folders_give_equal_bytes(tmp_path: Path) -> None:
    one, other = made(tmp_path / "a"), made(tmp_path / "b")
    os.utime(other / "manifest.json", (1, 1))
    (other / "manifest.json").chmod(0o600)
    packed = [pack_folder(path, tmp_path / f"{index}.tar.gz") for index, path in enumerate((one, other))]
    assert packed[0].read_bytes() == packed[1].read_bytes()
    (other / "native" / "model_run").chmod(0o644)
    assert pack_folder(other, tmp_path / "2.tar.gz").read_bytes() != packed[0].read_bytes()


@given(
    st.dictionaries(st.from_regex(r"[a-z]{1,8}(/[a-z ]{1,8}x)?", fullmatch=True), st.binary(max_size=50), min_size=1)
)
def test_what_is_packed_comes_out_again(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
    files = {name: content for name, content in files.items() if not any(n.startswith(f"{name}/") for n in files)}
    tmp_path = tmp_path_factory.mktemp("archive")
    for name, content in files.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(content)
    unpack_folder(pack_folder(tmp_path / "in", tmp_path / "in.tar.gz"), tmp_path / "out")
    found = {path.relative_to(tmp_path / "out").as_posix(): path for path in (tmp_path / "out").rglob("*")}
    assert {name: path.read_bytes() for name, path in found.items() if path.is_file()} == files


def test_the_executable_stays_one(tmp_path: Path) -> None:
    out = unpack_folder(pack_folder(made(tmp_path), tmp_path / "x.tar.gz"), tmp_path / "out")
    assert os.access(out / "native" / "model_run", os.X_OK) and not os.access(out / "manifest.json", os.X_OK)


def test_a_link_is_not_packed(tmp_path: Path) -> None:
    folder = made(tmp_path)
    (folder / "secret").symlink_to("/etc/passwd")
    with pytest.raises(VerificationFailed, match="secret: a symbolic link"):
        pack_folder(folder, tmp_path / "x.tar.gz")
    assert not (tmp_path / "x.tar.gz").exists()


@pytest.mark.parametrize("name", ["../evil", "bundle/../../evil", "/evil", "bundle\\..\\evil", "evil"])
def test_members_outside_are_refused(tmp_path: Path, name: str) -> None:
    archive = tar_of(tmp_path / "x.tar.gz", (tarfile.TarInfo("bundle/good"), b"1"), (tarfile.TarInfo(name), b"2"))
    with pytest.raises(VerificationFailed, match="refused") as error:
        unpack_folder(archive, tmp_path / "in" / "out")
    assert repr(name) in str(error.value)
    assert not (tmp_path / "in" / "out").exists() and not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_only_plain_files_are_unpacked(tmp_path: Path, kind: bytes) -> None:
    member = tarfile.TarInfo("bundle/link")
    member.type, member.linkname = kind, "/etc/passwd"
    with pytest.raises(VerificationFailed, match="a link or no plain file"):
        unpack_folder(tar_of(tmp_path / "x.tar.gz", (member, b"")), tmp_path / "out")


def test_damaged_archives_are_named(tmp_path: Path) -> None:
    whole = pack_folder(made(tmp_path), tmp_path / "x.tar.gz").read_bytes()
    for number, content in enumerate(
        (b"", b"no archive", whole[:60], whole[:-40], whole[:30] + bytes(40) + whole[70:])
    ):
        path = tmp_path / f"{number}.tar.gz"
        path.write_bytes(content)
        with pytest.raises(BadInput, match=rf"{number}\.tar\.gz"):
            unpack_folder(path, tmp_path / "out")
    with pytest.raises(BadInput, match="no such archive"):
        unpack_folder(tmp_path / "none.tar.gz", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_listed_twice_is_refused(tmp_path: Path) -> None:
    twice = tar_of(tmp_path / "x.tar.gz", (tarfile.TarInfo("a/f"), b"1"), (tarfile.TarInfo("b/f"), b"2"))
    with pytest.raises(VerificationFailed, match="twice"):
        unpack_folder(twice, tmp_path / "out")


def test_a_full_disk_is_said_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = pack_folder(made(tmp_path), tmp_path / "x.tar.gz")

    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(BadInput, match=r"out: the disk is full; free some space"):
        unpack_folder(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".out.*"))
