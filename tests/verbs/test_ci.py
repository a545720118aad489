"""The ci verbs on entries whose bundles were made by hand: what is refused, what is compared, what is published."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import sys
import tarfile
from pathlib import Path

import pytest

from natdeploy.deploy.archive import pack_folder
from natdeploy.devices import load_profile
from natdeploy.ground.errors import BadInput, VerificationFailed
from natdeploy.ground.files import read_json, sha256_file, write_json
from natdeploy.verbs import ci
from tests.deploy.stand_ins import timing
from tests.deploy.test_signature import PROGRAM
from tests.verbs.made_entries import KEY, built, enter_pipeline, status, write_pipeline


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return enter_pipeline(tmp_path, monkeypatch)


# plan


def test_the_plan_is_a_matrix(capsys: pytest.CaptureFixture[str]) -> None:
    write_pipeline(devices={"host": {"latency_ms": 2}, "pixel4": {"latency_ms": 2}})
    assert status("ci", "plan") == 0
    line = capsys.readouterr().out
    assert line.count("\n") == 1  # it becomes a line of GitHub's outputs
    jobs = json.loads(line)["include"]
    assert [(job["name"], job["device"], job["task"], job["here"]) for job in jobs] == [
        ("digits-host", "host", "digits", True),
        ("digits-pixel4", "pixel4", "digits", False),
    ]
    assert len({job["key"] for job in jobs}) == 2


def test_a_key_is_of_what_the_entry_is_made_from(folder: Path) -> None:
    def key() -> str:
        return ci.plan(task="digits").include[0].key

    first = key()
    assert key() == first
    write_pipeline(out="elsewhere", gates={"size": {"rise": 0.5}})
    assert key() == first  # neither where it goes nor what it is held against
    write_pipeline(devices={"host": {"latency_ms": 3}})
    assert key() != first
    write_pipeline(tasks={"digits": {"data": "digits", "seed": 1}})
    assert key() != first


def test_an_unknown_device_in_the_matrix_is_named() -> None:
    write_pipeline(devices={"pixl4": {"latency_ms": 2}})
    for verb in (ci.plan, ci.build):
        with pytest.raises(BadInput, match=r"unknown device 'pixl4' \(did you mean pixel4\?\)"):
            verb()
    assert not Path("ci").exists()
    with pytest.raises(BadInput, match="no device 'host' in this pipeline; it has pixl4"):
        ci.build(device="host")


def test_images_are_read_again_when_they_were_touched(folder: Path) -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    arrays = {"images": rng.integers(0, 256, (60, 8, 8, 3), np.uint8), "labels": np.arange(60) % 3}
    np.savez(folder / "images.npz", **arrays)
    write_pipeline(tasks={"mine": {"data": "images.npz"}})
    first = ci.plan().include[0].key
    arrays["images"][0] ^= 1
    np.savez(folder / "images.npz", **arrays)
    assert ci.plan().include[0].key != first
    (folder / "images.npz").unlink()
    with pytest.raises(BadInput, match=r"images\.npz"):
        ci.plan()


# gate


def test_a_gate_opens_on_its_own_baseline_and_names_what_got_worse(capsys: pytest.CaptureFixture[str]) -> None:
    built()
    assert status("ci", "gate", "--update") == 0
    assert Path("baselines/digits-host.json").is_file()
    assert status("ci", "gate") == 0
    built(measured_ms=1.7)
    capsys.readouterr()
    assert status("ci", "gate") == 6
    said = capsys.readouterr()
    assert "measured latency" in said.err and "1.5 ms" in said.err and "1.7 ms" in said.err
    assert said.err.count("\n") == 1
    assert "FAILED" in said.out and "worse" in said.out
    assert status("ci", "gate", "--json") == 6
    assert json.loads(capsys.readouterr().out)["passed"] is False


@pytest.mark.parametrize(
    ("sessions_ms", "timed", "passed"),
    [
        ((1.5,), 1, True),
        ((1.7, 1.52), 2, True),  # a neighbour of one session
        ((1.7, 1.8, 1.49), 3, True),
        ((1.7, 1.62, 1.8), 3, False),  # slower each time; 1.5 ms + 5 % would pass
    ],
)
def test_what_would_close_the_gate_is_timed_again(
    sessions_ms: tuple[float, ...], timed: int, passed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    built()
    ci.gate(update=True)
    left = list(sessions_ms)
    monkeypatch.setattr("natdeploy.measure.time_runnable", lambda _, *, arch, **__: timing(arch, left.pop(0)))
    monkeypatch.setattr("natdeploy.devices.load_profile", lambda name, **_: load_profile(name, derive=False))
    result = ci.gate(remeasure=True)
    assert (result.passed, len(sessions_ms) - len(left)) == (passed, timed)
    (line,) = (line for line in result.compared if line.metric.startswith("measured latency"))
    assert line.found.startswith(f"{min(sessions_ms):.4g} ms")


def test_an_entry_without_a_baseline_or_a_build_is_told_how_to_get_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BadInput, match="natdeploy ci build --device host"):
        ci.gate()
    built()
    assert status("ci", "gate") == 6
    assert "natdeploy ci gate --update" in capsys.readouterr().err


def test_a_baseline_of_another_schema_is_bad_input() -> None:
    built()
    ci.gate(update=True)
    path = Path("baselines/digits-host.json")
    write_json(path, {**read_json(path, "baseline"), "schema_version": 7})
    for update in (False, True):
        with pytest.raises(BadInput, match=r"digits-host\.json: field 'schema_version' is 7.* remove the file"):
            ci.gate(update=update)
    path.unlink()
    assert ci.gate(update=True).updated == (path,)


# publish


def test_what_is_published_is_the_same_for_the_same_bundles(folder: Path) -> None:
    built()
    first = ci.publish()
    again = ci.publish(out="elsewhere")
    names = sorted(path.name for path in first.folder.iterdir())
    assert names == sorted(path.name for path in again.folder.iterdir())
    assert [sha256_file(first.folder / name) for name in names] == [sha256_file(again.folder / name) for name in names]
    (row,) = json.loads(first.index.read_text())["bundles"]
    assert row["sha256"] == sha256_file(first.archives[0])
    assert (row["entry"], row["device"], row["measured_ms"]) == ("digits-host", "host", 1.5)
    table = first.summary.read_text().splitlines()
    assert len(table) == 3 and table[2].startswith("| digits-host |")
    with tarfile.open(first.archives[0]) as tar:
        assert f"{row['bundle']}/manifest.json" in tar.getnames()
    sums = (first.folder / "SHA256SUMS").read_text().splitlines()
    assert [line.split("  ") for line in sums] == [
        [sha256_file(first.folder / name), name] for name in names if name != "SHA256SUMS"
    ]


def test_damaged_bundles_are_not_published() -> None:
    bundle = built()
    (bundle / "native" / "libmodel.so").unlink()
    with pytest.raises(VerificationFailed, match=r"libmodel\.so: missing"):
        ci.publish()
    bundle = built()
    (bundle / "secret").symlink_to("/etc/passwd")
    with pytest.raises(VerificationFailed, match="secret: a symbolic link"):
        ci.publish()
    bundle = built()
    bundle.rename("outside")
    bundle.symlink_to(Path("outside").resolve())
    with pytest.raises(VerificationFailed, match="a symbolic link; bundles lie in their entry's own folder"):
        ci.publish()
    bundle.unlink()
    with pytest.raises(VerificationFailed, match=r"missing, though build\.json lists it"):
        ci.publish()
    assert not Path("ci/published").exists()


def test_a_record_cannot_name_a_folder_outside() -> None:
    built()
    path = Path("ci/digits-host/build.json")
    value = read_json(path, "record")
    write_json(path, {**value, "bundles": {"../../../x": KEY}})
    with pytest.raises(BadInput, match=r"build\.json: field 'bundles"):
        ci.publish()
    write_json(path, {**value, "bundles": dict.fromkeys(value["bundles"], KEY)})
    with pytest.raises(VerificationFailed, match="is not the bundle that"):
        ci.gate()


def test_bundles_are_signed_where_the_pipeline_says_how(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "signer.py").write_text(PROGRAM)
    command = f"{sys.executable} signer.py {{}} secret {{{{file}}}} {{{{signature}}}}"
    bundle = built()
    assert json.loads(ci.publish().index.read_text())["bundles"][0]["signature"] is None
    write_pipeline(signing={"sign": command.format("sign"), "verify": command.format("check")})
    found = ci.publish()
    assert json.loads(found.index.read_text())["bundles"][0]["signature"] == "SHA256SUMS.sig"
    with tarfile.open(found.archives[0]) as tar:
        assert f"{bundle.name}/SHA256SUMS.sig" in tar.getnames()
    ci.gate(update=True)
    assert ci.gate().passed  # a signed bundle is still the one that was built
    assert status("verify", str(bundle), "--signature-command", command.format("refuse")) == 5
    assert "key 7 was asked for" in capsys.readouterr().err
    assert status("verify", str(bundle), "--signature-command", "gpg") == 2
    write_pipeline(signing={"sign": command.format("refuse")})
    with pytest.raises(BadInput, match=r"not signed: .*key 7 was asked for"):
        ci.publish(out="elsewhere")
    assert not Path("elsewhere").exists()
    write_pipeline(signing={"sign": "gpg"})
    with pytest.raises(BadInput, match=r"natdeploy\.yaml: field 'signing\.sign': \{file\} is missing"):
        ci.publish()


# pack and unpack


def test_entries_travel_as_archives() -> None:
    built()
    (archive,) = ci.pack().paths
    assert archive == Path("ci/packed/digits-host.tar.gz")
    downloads = Path("downloads/some-job")
    downloads.mkdir(parents=True)
    archive.rename(downloads / archive.name)
    with pytest.raises(BadInput, match="was built here"):
        ci.unpack("downloads")
    shutil.rmtree("ci")
    incomplete = Path("incomplete")
    (incomplete / "digits-host").mkdir(parents=True)
    shutil.copy(downloads / archive.name, incomplete)
    with tarfile.open(incomplete / archive.name) as tar:
        tar.extractall(incomplete, filter="data")
    next((incomplete / "digits-host").rglob("manifest.json")).unlink()
    pack_folder(incomplete / "digits-host", incomplete / archive.name)
    with pytest.raises(VerificationFailed, match=r"manifest\.json: missing"):
        ci.unpack(incomplete)
    assert not Path("ci/digits-host").exists()
    assert ci.unpack("downloads").paths == (Path("ci/digits-host"),)
    ci.gate(update=True)
    assert ci.gate().passed
    assert not Path("ci/digits-host/runs").exists()


def test_archives_that_reach_outside_or_belong_elsewhere_are_refused() -> None:
    def archive(name: str, member: str) -> Path:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            info = tarfile.TarInfo(member)
            info.size = 1
            tar.addfile(info, io.BytesIO(b"x"))
        path = Path(name)
        path.write_bytes(gzip.compress(buffer.getvalue()))
        return path

    with pytest.raises(VerificationFailed, match="outside"):
        ci.unpack(archive("digits-host.tar.gz", "digits-host/../../evil"))
    with pytest.raises(BadInput, match=r"'cats-host' is no entry of natdeploy\.yaml; it has digits-host"):
        ci.unpack(archive("cats-host.tar.gz", "cats-host/f"))
    Path("empty").mkdir()
    with pytest.raises(BadInput, match="holds no archive"):
        ci.unpack("empty")
    assert not Path("ci").exists()
