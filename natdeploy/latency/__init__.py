"""Predict latency from timings: features, XGBoost, intervals that hold, quality. Knows nothing of torch and TVM."""

from natdeploy.latency.choose import choose_networks
from natdeploy.latency.device_fit import fit_device_model
from natdeploy.latency.features import feature_names, features
from natdeploy.latency.fit import fit_latency_model
from natdeploy.latency.known import published_latency_model, started_latency_model, unmeasured_latency_model
from natdeploy.latency.library import (
    find_latency_model,
    latency_model_path,
    prior_latency_model,
    shipped_latency_model,
    telling,
)
from natdeploy.latency.lookup_table import LookupTable, fit_lookup_table
from natdeploy.latency.model import LatencyModel
from natdeploy.latency.prediction import LatencyPrediction
from natdeploy.latency.profile import profile_device
from natdeploy.latency.published_networks import fit_published_networks, operator_lists
from natdeploy.latency.quality import PointQuality, Quality
from natdeploy.latency.table_fit import fit_table_model
from natdeploy.latency.transfer_fit import fit_transferred_model
from natdeploy.latency.transferred import SourceKnowledge, TransferredPredictor

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
