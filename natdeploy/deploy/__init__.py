"""A model's way out: choose, extract, compile, verify, measure, pack; and checking and using what was packed."""

from natdeploy.deploy.build import BuiltBundle, build
from natdeploy.deploy.manifest import Manifest, read_manifest
from natdeploy.deploy.pick import RULES, rank
from natdeploy.deploy.predict import Prediction, predict_images
from natdeploy.deploy.verify import CheckedArtifact, VerifyReport, verify_bundle

__all__ = [
    "RULES",
    "BuiltBundle",
    "CheckedArtifact",
    "Manifest",
    "Prediction",
    "VerifyReport",
    "build",
    "predict_images",
    "rank",
    "read_manifest",
    "verify_bundle",
]
