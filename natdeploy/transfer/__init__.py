"""Training: supernets from scratch, NAT's adaptation to a task, and how good a subnet is. Knows nothing of devices."""

from natdeploy.transfer.adapt import Adaptation, AdaptConfig, ArchSampler
from natdeploy.transfer.batches import AUGMENTATIONS
from natdeploy.transfer.calibration import Calibration
from natdeploy.transfer.crew import dismiss, lend_a_hand
from natdeploy.transfer.evaluate import Accuracy, calibrated_subnet, evaluate, evaluate_arch, shows_mirrored
from natdeploy.transfer.finetune import FineTuned, fine_tune, head_epochs
from natdeploy.transfer.pretrain import PretrainConfig, pretrain
from natdeploy.transfer.step import TrainingDiverged

__all__ = [
    "AUGMENTATIONS",
    "Accuracy",
    "AdaptConfig",
    "Adaptation",
    "ArchSampler",
    "Calibration",
    "FineTuned",
    "PretrainConfig",
    "TrainingDiverged",
    "calibrated_subnet",
    "dismiss",
    "evaluate",
    "evaluate_arch",
    "fine_tune",
    "head_epochs",
    "lend_a_hand",
    "pretrain",
    "shows_mirrored",
]
