"""Elastic networks: weight sharing, calibration, checkpoints, extraction. Knows nothing of devices or search."""

from natdeploy.supernets.batch_norm import calibrate
from natdeploy.supernets.channels import sort_channels
from natdeploy.supernets.checkpoint import (
    BOX,
    box_path,
    checkpoint_path,
    load_supernet,
    read_supernet_header,
    save_supernet,
)
from natdeploy.supernets.extract import extract, to_network
from natdeploy.supernets.mobilenetv3 import SUPERNETS, MobileNetV3Supernet, build_supernet, has_supernet
from natdeploy.supernets.ofa_checkpoint import PUBLISHED
from natdeploy.supernets.subnet import Subnet

__all__ = [
    "BOX",
    "PUBLISHED",
    "SUPERNETS",
    "MobileNetV3Supernet",
    "Subnet",
    "box_path",
    "build_supernet",
    "calibrate",
    "checkpoint_path",
    "extract",
    "has_supernet",
    "load_supernet",
    "read_supernet_header",
    "save_supernet",
    "sort_channels",
    "to_network",
]
