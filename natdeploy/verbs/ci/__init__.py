"""``ci``: bundles for several devices from one file, held against committed baselines; cached by content."""

from natdeploy.verbs.ci.build import build
from natdeploy.verbs.ci.gate import gate
from natdeploy.verbs.ci.pack import pack, unpack
from natdeploy.verbs.ci.plan import plan
from natdeploy.verbs.ci.publish import publish

__all__ = ["build", "gate", "pack", "plan", "publish", "unpack"]
