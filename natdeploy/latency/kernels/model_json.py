"""A model of published kernels as JSON, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.latency.kernels.model import KernelModel
from natdeploy.latency.kernels.work import KernelShapes, kernel_features


def kernel_model_to_json(model: KernelModel) -> dict[str, Any]:
    """Every field of the model, JSON-ready."""
    return {field.name: _plain(getattr(model, field.name)) for field in fields(model)}


def kernel_model_from_json(value: Mapping[str, Any]) -> KernelModel:
    """Inverse of :func:`kernel_model_to_json`.

    Raises BadInput where the model has not the fields of this version, or was trained on other features.
    """
    names = [field.name for field in fields(KernelModel)]
    if set(value) != set(names):
        odd = sorted(set(value) ^ set(names))
        raise BadInput(f"kernels: field {odd[0]!r} is not of this version's model; import the measurements again")
    model = KernelModel(**{name: _read(value[name]) for name in names})
    wanted = kernel_features(KernelShapes([]), model.operations).shape[1]
    if model.booster.num_features() != wanted:
        raise BadInput(
            f"kernels: trained on {model.booster.num_features()} features, expected {wanted}; import the measurements "
            "again"
        )
    return model


def _plain(value: Any) -> Any:
    """With its type beside it where JSON has none."""
    if isinstance(value, np.ndarray):
        return {"array": value.tolist()}
    if isinstance(value, Mapping):
        return {"mapping": {str(name): _plain(item) for name, item in value.items()}}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if hasattr(value, "save_raw"):
        return {"booster": json.loads(value.save_raw("json"))}
    return value


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_read, value))
    if not isinstance(value, Mapping):
        return value
    ((kind, content),) = value.items()
    if kind == "array":
        return np.array(content, np.float64)
    if kind == "mapping":
        return {name: _read(item) for name, item in content.items()}
    if kind == "booster":
        return _booster(content)
    raise BadInput(f"kernels: unknown kind of field {kind!r}; import the measurements again")


def _booster(content: Mapping[str, Any]) -> Any:
    import xgboost
    from xgboost.core import XGBoostError

    booster = xgboost.Booster({"nthread": 1})
    try:
        booster.load_model(bytearray(json.dumps(content).encode()))
    except XGBoostError as error:
        raise BadInput("kernels: their XGBoost part cannot be read; import the measurements again") from error
    return booster
