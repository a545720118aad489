"""Signatures by a program of the user's: here one that keys a digest with a secret file."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from natdeploy.deploy.bundle import rewrite_bundle
from natdeploy.deploy.integrity import SIGNATURE, SUMS, check_files
from natdeploy.deploy.signature import check_signature, sign
from natdeploy.ground.errors import BadInput, VerificationFailed
from natdeploy.runs.signing import signing_command
from tests.deploy.stand_ins import archs, make_bundle, timing

PROGRAM = """
import hashlib, hmac, pathlib, sys
verb, key, file, signature = sys.argv[1:]
found = hmac.new(key.encode(), pathlib.Path(file).read_bytes(), hashlib.sha256).hexdigest()
if verb == "sign":
    pathlib.Path(signature).write_text(found)
elif verb == "refuse":
    sys.exit("no such key\\nkey 7 was asked for")
elif pathlib.Path(signature).read_text() != found:
    sys.exit("BAD signature")
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "signer.py"
    path.write_text(PROGRAM)
    return path


def command(program: Path, verb: str, key: str = "secret") -> tuple[str, ...]:
    return signing_command([sys.executable, str(program), verb, key, "{file}", "{signature}"])


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    make_bundle(tmp_path / "bundle")
    return tmp_path / "bundle"


def test_what_was_signed_is_accepted_and_still_whole(bundle: Path, program: Path) -> None:
    before = sorted(path.name for path in bundle.iterdir())
    assert sign(bundle, command(program, "sign")) == bundle / SIGNATURE
    check_signature(bundle, command(program, "check"))
    check_files(bundle)
    assert sorted(path.name for path in bundle.iterdir()) == sorted([*before, SIGNATURE])
    assert not [path for path in bundle.parent.iterdir() if path.name.startswith(".signing")]


def test_another_key_or_other_checksums_are_not_accepted(bundle: Path, program: Path) -> None:
    sign(bundle, command(program, "sign", "another"))
    with pytest.raises(VerificationFailed, match=r"SHA256SUMS\.sig: not accepted by .*: exit status 1: BAD signature$"):
        check_signature(bundle, command(program, "check"))
    sign(bundle, command(program, "sign"))
    (bundle / SUMS).write_text((bundle / SUMS).read_text().replace("a", "b"))
    with pytest.raises(VerificationFailed, match="BAD signature"):
        check_signature(bundle, command(program, "check"))


def test_an_unsigned_bundle_is_not_accepted(bundle: Path, program: Path) -> None:
    with pytest.raises(VerificationFailed, match="the bundle is not signed"):
        check_signature(bundle, command(program, "check"))
    (bundle / SIGNATURE).symlink_to(program)
    with pytest.raises(VerificationFailed, match="the bundle is not signed"):
        check_signature(bundle, command(program, "check"))


def test_a_program_that_fails_leaves_the_bundle_as_it_was(bundle: Path, program: Path) -> None:
    sign(bundle, command(program, "sign"))
    before = (bundle / SIGNATURE).read_bytes()
    with pytest.raises(
        BadInput, match=r"not signed: .*: exit status 1: key 7 was asked for; see field 'signing\.sign'"
    ):
        sign(bundle, command(program, "refuse"))
    with pytest.raises(BadInput, match="it ended well and wrote no signature"):
        sign(bundle, signing_command(["true", "{file}", "{signature}"]))
    with pytest.raises(BadInput, match="no-such-program: cannot be started"):
        sign(bundle, signing_command("no-such-program {file} {signature}"))
    assert (bundle / SIGNATURE).read_bytes() == before


def test_a_bundle_that_is_timed_again_is_no_longer_signed(bundle: Path, program: Path) -> None:
    sign(bundle, command(program, "sign"))
    rewrite_bundle(bundle, check_files(bundle), [timing(archs(1)[0], 1.25)])
    assert not (bundle / SIGNATURE).exists()
    check_files(bundle)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no OpenSSL: apt install openssl")
def test_openssl_signs(bundle: Path, tmp_path: Path) -> None:
    import subprocess

    key, public = tmp_path / "key.pem", tmp_path / "public.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True)
    subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", public], check=True)
    sign(bundle, signing_command(f"openssl pkeyutl -sign -rawin -inkey {key} -in {{file}} -out {{signature}}"))
    check = f"openssl pkeyutl -verify -rawin -pubin -inkey {public} -in {{file}} -sigfile {{signature}}"
    check_signature(bundle, signing_command(check))
    (bundle / SIGNATURE).write_bytes(b"\0" * 64)
    with pytest.raises(VerificationFailed, match="not accepted by openssl"):
        check_signature(bundle, signing_command(check))


@pytest.mark.parametrize(
    "value", ["", "gpg", "gpg {file}", "gpg '{file} {signature}", [], ["a", 1], 7, ["{file}{signature}"]]
)
def test_what_is_no_command(value: object) -> None:
    with pytest.raises(ValueError, match=r"command|program|missing"):
        signing_command(value)
