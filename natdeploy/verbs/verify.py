"""``verify``: a bundle, from the bundle alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from natdeploy.verbs.result import Result

if TYPE_CHECKING:
    from natdeploy.deploy import CheckedArtifact


@dataclass(frozen=True)
class VerifyResult(Result):
    """A bundle that is whole and right; anything else is an error.

    Attributes:
        bundle: its folder.
        name: what it calls itself.
        files: how many files' checksums hold.
        artifacts: each artifact's largest difference from the recorded reference outputs.
        signature: ``checked``; ``not checked`` where there is one and no command was given; ``none``.
    """

    bundle: Path
    name: str
    files: int
    artifacts: tuple[CheckedArtifact, ...]
    signature: Literal["checked", "not checked", "none"] = "none"


def verify(bundle: str | Path, *, signature_command: str | Sequence[str] | None = None) -> VerifyResult:
    """Check a bundle's checksums, its manifest, and the outputs of every artifact against the recorded ones.

    Args:
        bundle: its folder.
        signature_command: program and arguments that check a signature, with ``{file}`` for ``SHA256SUMS`` and
            ``{signature}`` for its signature. The bundle must have one then, and nothing of it is executed before.

    Raises BadInput when it is no bundle, VerificationFailed naming the file at fault, DeviceNotReachable when its
    compiled model is for another kind of machine.
    """
    from natdeploy.deploy import verify_bundle
    from natdeploy.deploy.integrity import SIGNATURE, check_files
    from natdeploy.deploy.signature import check_signature
    from natdeploy.ground.errors import BadInput
    from natdeploy.runs.signing import signing_command

    signature: Literal["checked", "not checked", "none"]
    signature = "not checked" if (Path(bundle) / SIGNATURE).exists() else "none"
    if signature_command is not None:
        try:
            command = signing_command(signature_command)
        except ValueError as error:
            raise BadInput(f"--signature-command: {error}") from None
        check_files(Path(bundle))
        check_signature(Path(bundle), command)
        signature = "checked"
    found = verify_bundle(bundle)
    return VerifyResult(found.path, found.manifest.name, found.files, found.artifacts, signature)
