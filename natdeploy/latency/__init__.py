"""Predict latency from timings: features, XGBoost, intervals that hold, quality. Knows nothing of torch and TVM.

A :class:`LatencyModel` answers for a device, a runtime and a space; ``library`` keeps and finds it, ``known`` takes the
best of what is known of a device, ``any_network`` answers for networks of no space. By where a model comes from:

- ``measured``: the device's own timings of whole networks; ``profiling`` makes them
- ``kernels``: networks as the kernels of a runtime, timed or published
- ``transferred``: few timings of the device, many of other devices
- ``published``: what others published of it; ``imported``: such, imported by the user; ``shipped``: such, shipped
- ``hardware``: its hardware profile alone

All stand on ``inputs``, networks as numbers, and ``intervals``, predictions and how good they are.
"""

from natdeploy.latency.inputs.features import feature_names, features
from natdeploy.latency.intervals.prediction import LatencyPrediction
from natdeploy.latency.intervals.quality import PointQuality, Quality
from natdeploy.latency.known import published_latency_model, started_latency_model, unmeasured_latency_model
from natdeploy.latency.library import (
    find_latency_model,
    latency_model_path,
    prior_latency_model,
    shipped_latency_model,
    telling,
)
from natdeploy.latency.measured.device_fit import fit_device_model
from natdeploy.latency.measured.fit import fit_latency_model
from natdeploy.latency.measured.lookup_table import LookupTable, fit_lookup_table
from natdeploy.latency.model import LatencyModel
from natdeploy.latency.profiling.choose import choose_networks
from natdeploy.latency.profiling.profile import profile_device
from natdeploy.latency.published.networks import fit_published_networks, operator_lists
from natdeploy.latency.published.table_fit import fit_table_model
from natdeploy.latency.transferred.fit import fit_transferred_model
from natdeploy.latency.transferred.predictor import SourceKnowledge, TransferredPredictor

__all__ = [
    "LatencyModel",
    "LatencyPrediction",
    "LookupTable",
    "PointQuality",
    "Quality",
    "SourceKnowledge",
    "TransferredPredictor",
    "choose_networks",
    "feature_names",
    "features",
    "find_latency_model",
    "fit_device_model",
    "fit_latency_model",
    "fit_lookup_table",
    "fit_published_networks",
    "fit_table_model",
    "fit_transferred_model",
    "latency_model_path",
    "operator_lists",
    "prior_latency_model",
    "profile_device",
    "published_latency_model",
    "shipped_latency_model",
    "started_latency_model",
    "telling",
    "unmeasured_latency_model",
]
