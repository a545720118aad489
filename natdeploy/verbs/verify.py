"""``verify``: a bundle, from the bundle alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

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
    """

    bundle: Path
    name: str
    files: int
    artifacts: tuple[CheckedArtifact, ...]


def verify(bundle: str | Path) -> VerifyResult:
    """Check a bundle's checksums, its manifest, and the outputs of every artifact against the recorded ones.

    Raises BadInput when it is no bundle, VerificationFailed naming the file at fault, DeviceNotReachable when its
    compiled model is for another kind of machine.
    """
    from natdeploy.deploy import verify_bundle

    found = verify_bundle(bundle)
    return VerifyResult(found.path, found.manifest.name, found.files, found.artifacts)
