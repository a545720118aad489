"""What other devices' measurements say about an architecture that none of them ran: one model per source device.

Each is ridge regression on the encoding and on radial basis functions at some of the measured architectures; the
penalty of each device is the one of greatest marginal likelihood (MacKay 1992).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.latency.inputs.encoding import Encoded, Encoding
from natdeploy.spaces import Arch, Space

#: Share of a device's median latency that is added before taking logarithms: latencies near zero (networks that a
#: compiler folds to nothing) would be outliers of a plain logarithm.
SHIFT = 0.6
#: Measured architectures at which radial basis functions stand, at most, and the functions' scale beside the encoding.
LANDMARKS, CURVED = 250, 0.7
PENALTIES = tuple(float(10**exponent) for exponent in np.arange(-3, 3.5, 0.5))
#: Architectures whose radial basis functions are worked out together.
ROWS = 1000
#: Fewest measurements of a source device.
MIN_MEASURED = 30


def log_latency(latency_ms: np.ndarray, shift_ms: float) -> np.ndarray:
    """Shifted logarithm of latencies."""
    return np.log(latency_ms + shift_ms)


def radial(left: Encoded, right: Encoded) -> np.ndarray:
    """Radial basis functions of one set of architectures around another, float64 ``[left, right]``."""
    a, b = left.table, right.table
    # Half the negative squared distance, in place: this is most of what many predictions take.
    exponent: np.ndarray = a @ b.T
    exponent -= 0.5 * np.einsum("ij,ij->i", a, a)[:, None]
    exponent -= 0.5 * np.einsum("ij,ij->i", b, b)
    return np.exp(np.minimum(exponent, 0, out=exponent), out=exponent)


@dataclass(frozen=True, eq=False)
class SourceModels:
    """Predicts log latencies on the source devices, each with mean 0 and variance 1 over the measured architectures.

    Attributes:
        names: source devices.
        encoding: of architectures.
        landmarks: where the radial basis functions stand.
        landmark_archs: the same, not encoded.
        weights: of structure, genes and radial basis functions, and a constant; float64 ``[columns + 1, sources]``.
    """

    names: tuple[str, ...]
    encoding: Encoding
    landmarks: Encoded
    landmark_archs: tuple[Arch, ...]
    weights: np.ndarray

    def __call__(self, encoded: Encoded) -> np.ndarray:
        """Standardised log latencies, float64 ``[n, sources]``."""
        fixed = encoded.table.shape[1]
        found: np.ndarray = encoded.table @ self.weights[:fixed] + self.weights[-1]
        for start in range(0, len(encoded), ROWS):
            rows = slice(start, start + ROWS)
            found[rows] += radial(encoded.rows(rows), self.landmarks) @ self.weights[fixed:-1]
        return found

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        space = self.encoding.space
        return {
            "names": list(self.names),
            "encoding": self.encoding.to_json(),
            "landmarks": [space.encode(arch).tolist() for arch in self.landmark_archs],
            "weights": self.weights.tolist(),
        }

    @staticmethod
    def from_json(value: dict[str, Any], space: Space) -> SourceModels:
        """Inverse of :meth:`to_json`."""
        encoding = Encoding.from_json(value["encoding"], space)
        archs = tuple(space.decode(genome) for genome in value["landmarks"])
        weights = np.array(value["weights"], np.float64)
        landmarks = encoding(archs)
        names = tuple(str(name) for name in value["names"])
        columns = landmarks.table.shape[1] + len(archs)
        if weights.shape != (columns + 1, len(names)):
            raise ValueError(f"weights of its sources have shape {weights.shape}")
        return SourceModels(names, encoding, landmarks, archs, weights)


@dataclass(frozen=True, eq=False)
class SourceTable:
    """Measurements of source devices.

    Attributes:
        names: source devices.
        archs: every architecture that was measured on any of them.
        log_ms: :func:`log_latency` of each, NaN where it was not measured; float64 ``[archs, sources]``.
    """

    names: tuple[str, ...]
    archs: tuple[Arch, ...]
    log_ms: np.ndarray

    @staticmethod
    def of(latency_ms: Mapping[str, Mapping[Arch, float]]) -> SourceTable:
        """From latencies in ms by device and architecture. Raises BadInput for too few or impossible ones."""
        if len(latency_ms) < 2:
            raise BadInput(f"transfer needs measurements of at least 2 source devices, not {len(latency_ms)}")
        archs = tuple(dict.fromkeys(arch for found in latency_ms.values() for arch in found))
        row = {arch: index for index, arch in enumerate(archs)}
        log_ms = np.full((len(archs), len(latency_ms)), np.nan)
        for column, (name, found) in enumerate(latency_ms.items()):
            if len(found) < MIN_MEASURED:
                raise BadInput(f"source device {name!r}: {len(found)} measurements, at least {MIN_MEASURED} are needed")
            values = np.array(list(found.values()), np.float64)
            if not (np.isfinite(values) & (values > 0)).all():
                raise BadInput(f"source device {name!r}: latencies must be positive numbers of ms")
            shift_ms = SHIFT * float(np.median(values))
            log_ms[[row[arch] for arch in found], column] = log_latency(values, shift_ms)
        return SourceTable(tuple(latency_ms), archs, log_ms)


def fit_sources(table: SourceTable, space: Space, *, seed: int = 0) -> tuple[SourceModels, np.ndarray]:
    """Train a model for each source device.

    Returns the models, and what they say of the table's own architectures, each left out where its device measured it
    (in closed form): a new device must learn how far to trust the models from networks that are new to them too.
    Float64 ``[archs, sources]``, standardised.
    """
    encoding = Encoding.of(space, table.archs)
    encoded = encoding(table.archs)
    chosen = np.random.default_rng([seed, 11]).permutation(len(table.archs))[:LANDMARKS]
    landmarks = encoded.rows(chosen)
    # Whitened functions are a Gaussian process restricted to the landmarks (Nystroem).
    values, vectors = np.linalg.eigh(radial(landmarks, landmarks))
    whiten = CURVED * vectors / np.sqrt(np.maximum(values, 1e-6))
    columns = _columns(encoded, landmarks)
    fixed = columns.shape[1] - len(chosen)
    columns[:, fixed:] = columns[:, fixed:] @ whiten
    centre = columns.mean(0)
    columns -= centre
    weights = np.zeros((columns.shape[1] + 1, len(table.names)))
    measured = np.isfinite(table.log_ms)
    left_out = np.full(table.log_ms.shape, np.nan)
    for mask in np.unique(measured, axis=1).T:
        same = np.flatnonzero((measured == mask[:, None]).all(0))
        weights[:-1, same], left_out[np.ix_(mask, same)] = _ridge(columns[mask], table.log_ms[np.ix_(mask, same)])
    predicted = columns @ weights[:-1]
    scale = np.maximum(predicted.std(0), 1e-9)
    left_out = np.where(measured, left_out, predicted) / scale
    weights /= scale
    weights[-1] = -centre @ weights[:-1]
    weights[fixed:-1] = whiten @ weights[fixed:-1]
    archs = tuple(table.archs[row] for row in chosen)
    return SourceModels(table.names, encoding, landmarks, archs, weights), left_out


def _columns(encoded: Encoded, landmarks: Encoded) -> np.ndarray:
    return np.concatenate([encoded.table, radial(encoded, landmarks)], axis=1)


def _ridge(columns: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ridge regression, penalty of each target by marginal likelihood.

    Returns weights ``[columns, targets]``, and ``columns @ weights`` with each row left out, ``[n, targets]``.
    """
    count = len(columns)
    mean = columns.mean(0)
    values, vectors = np.linalg.eigh(columns.T @ columns - count * np.outer(mean, mean))
    values = np.maximum(values, 0)
    residual = target - target.mean(0)
    projected = vectors.T @ (columns.T @ residual - np.outer(mean, residual.sum(0)))
    turned = (columns - mean) @ vectors
    best, result = np.full(target.shape[1], -np.inf), np.zeros((columns.shape[1], target.shape[1]))
    left_out = np.zeros(target.shape)
    for penalty in PENALTIES:
        shrunk = projected / (values + penalty)[:, None]
        misfit = np.maximum((residual**2).sum(0) - (projected * shrunk).sum(0), 1e-12)
        evidence = -0.5 * np.log1p(values / penalty).sum() - 0.5 * count * np.log(misfit)
        better = evidence > best
        best[better], result[:, better] = evidence[better], vectors @ shrunk[:, better]
        if better.any():
            leverage = (turned**2 / (values + penalty)).sum(1) + 1 / count
            misses = (residual - turned @ shrunk)[:, better] / np.maximum(1 - leverage, 1e-3)[:, None]
            left_out[:, better] = residual[:, better] - misses + mean @ result[:, better]
    return result, left_out
