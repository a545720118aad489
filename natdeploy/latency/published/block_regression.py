"""Milliseconds of a block in any shape, learned from a published table of blocks.

Non-negative rates of work and bytes give a block's time in the rough; a Gaussian process on the logarithm of the rest
(Rasmussen and Williams 2006, chapter 2) knows what blocks of like shape, of the same family at other map sizes, and
other families at the same map size took beside their rates. A block that is in the table takes what the table says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.latency.published.block_costs import block_kind, coordinates, costs, family
from natdeploy.spaces import Block

#: Hyperparameters, as natural logarithms: amplitudes of what like shapes, a family and a map size have in common,
#: length scales of shape and of map size within a family, and the noise of one timing.
START = {"shape": -1.5, "family": -2.5, "map": -3.0, "shape_length": 0.0, "map_length": -0.7, "noise": -3.5}
_BOUNDS = {
    "shape": (-4.0, 0.5),
    "family": (-6.0, -0.5),
    "map": (-7.0, -1.0),
    "shape_length": (-1.0, 1.5),
    "map_length": (-2.5, 1.0),
    "noise": (-7.0, -1.5),
}
#: Blocks on which hyperparameters are chosen, at most, and steps of the optimiser.
TUNED_ON, TUNING_STEPS = 400, 25
#: How much the rates' own slopes may be off, per unit of a coordinate (standard deviation).
SLOPE = 0.1


@dataclass(frozen=True, eq=False)
class BlockRegression:
    """Predicts a block's latency and how unsure that is.

    Attributes:
        table: milliseconds of the blocks that were measured.
        rates_ms: per unit of :data:`natdeploy.latency.published.block_costs.COSTS`, none negative.
        parameters: of the Gaussian process, see :data:`START`.
        assumed: kinds of blocks that were not measured and may be priced by the rates alone.
    """

    table: Mapping[Block, float]
    rates_ms: np.ndarray
    parameters: Mapping[str, float]
    assumed: tuple[str, ...] = ()

    def predict(self, blocks: Sequence[Block]) -> tuple[np.ndarray, np.ndarray]:
        """Milliseconds, and standard deviations of their logarithm (0 for a block of the table); float64 ``[n]``.

        Raises BadInput naming a block of a kind that was never measured: it is not 0 ms.
        """
        known = self._kinds
        for block in blocks:
            if block_kind(block) not in known and block_kind(block) not in self.assumed:
                raise BadInput(f"latency table: block {block} is of kind {block_kind(block)}, which was never measured")
        mean_ms = base_ms(blocks, self.rates_ms)
        spread = np.zeros(len(blocks))
        new = np.flatnonzero([block not in self.table for block in blocks])
        if len(new):
            chosen = Placed.of([blocks[index] for index in new.tolist()])
            across = covariance(chosen, self._placed, self.parameters)
            mean_ms[new] *= np.exp(across @ self._weights)
            explained = (self._whitened(across.T) ** 2).sum(0)
            spread[new] = np.sqrt(np.maximum(variance(chosen, self.parameters) - explained, 0))
        for index, block in enumerate(blocks):
            mean_ms[index] = self.table.get(block, mean_ms[index])
        return mean_ms, spread

    def left_out(self, groups: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Milliseconds and standard deviations of the table's own blocks, each predicted without its group's.

        Args:
            groups: row numbers of blocks that are left out together; blocks in no group are predicted as they are.

        Closed form of leaving a group out of a Gaussian process (Rasmussen and Williams 2006, section 5.4.2).
        """
        mean_ms, spread = np.array(list(self.table.values())), np.zeros(len(self.table))
        inverse = self._whitened(np.eye(len(self.table)))
        inverse, weights = inverse.T @ inverse, self._weights
        for rows in groups:
            within = np.linalg.inv(inverse[np.ix_(rows, rows)])
            mean_ms[rows] *= np.exp(-within @ weights[rows])
            noise = np.exp(2 * self.parameters["noise"])
            spread[rows] = np.sqrt(np.maximum(np.diag(within) - noise, 0))
        return mean_ms, spread

    @cached_property
    def _kinds(self) -> frozenset[str]:
        return frozenset(map(block_kind, self.table))

    @cached_property
    def _placed(self) -> Placed:
        return Placed.of(list(self.table))

    @cached_property
    def _lower(self) -> np.ndarray:
        """Cholesky factor of the covariance of the table's blocks."""
        matrix = covariance(self._placed, self._placed, self.parameters)
        matrix[np.diag_indices(len(matrix))] += np.exp(2 * self.parameters["noise"])
        return np.linalg.cholesky(matrix)

    @cached_property
    def _weights(self) -> np.ndarray:
        """Inverse covariance times the residuals of the table's blocks."""
        from scipy.linalg import cho_solve

        residual = np.log(np.array(list(self.table.values())) / base_ms(list(self.table), self.rates_ms))
        return np.asarray(cho_solve((self._lower, True), residual))

    def _whitened(self, columns: np.ndarray) -> np.ndarray:
        from scipy.linalg import solve_triangular

        return np.asarray(solve_triangular(self._lower, columns, lower=True))

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "blocks": [[*block.to_json().values(), latency_ms] for block, latency_ms in self.table.items()],
            "rates_ms": self.rates_ms.tolist(),
            "parameters": dict(self.parameters),
            "assumed": list(self.assumed),
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> BlockRegression:
        """Inverse of :meth:`to_json`."""
        table = {Block(*fields[:-1]): float(fields[-1]) for fields in value["blocks"]}
        parameters = {name: float(value["parameters"][name]) for name in START}
        return BlockRegression(table, np.array(value["rates_ms"], np.float64), parameters, tuple(value["assumed"]))


def fit_blocks(table: Mapping[Block, float], *, assumed: Sequence[str] = (), seed: int = 0) -> BlockRegression:
    """Learn from milliseconds by block.

    Args:
        table: the measured blocks, positive milliseconds; activations are not looked at.
        assumed: kinds that may be priced though the table has none of them.
        seed: of the blocks on which hyperparameters are chosen.

    Raises BadInput for fewer than 30 blocks, or latencies that are not positive.
    """
    from scipy.optimize import minimize, nnls

    if len(table) < 30 or not all(np.isfinite(value) and value > 0 for value in table.values()):
        raise BadInput(f"latency table: {len(table)} blocks, expected at least 30 with positive numbers of ms")
    blocks, latency_ms = list(table), np.array(list(table.values()))
    amounts = costs(blocks)
    scale = np.maximum(amounts.max(0), 1e-30)
    rates, _ = nnls(amounts / scale / latency_ms[:, None], np.ones(len(blocks)), maxiter=10_000)
    rates_ms = rates / scale
    residual = np.log(latency_ms / base_ms(blocks, rates_ms))
    rows = np.random.default_rng([seed, 21]).permutation(len(blocks))[:TUNED_ON]
    chosen, target = Placed.of([blocks[row] for row in rows]), residual[rows]
    names = list(START)

    def misfit(values: np.ndarray) -> float:
        """Negative log marginal likelihood."""
        parameters = dict(zip(names, values.tolist()))
        matrix = covariance(chosen, chosen, parameters)
        matrix[np.diag_indices(len(target))] += np.exp(2 * parameters["noise"])
        lower = np.linalg.cholesky(matrix)
        whitened = np.linalg.solve(lower, target)
        return float(0.5 * whitened @ whitened + np.log(np.diag(lower)).sum())

    found = minimize(
        misfit,
        np.array(list(START.values())),
        method="L-BFGS-B",
        bounds=[_BOUNDS[name] for name in names],
        options={"maxiter": TUNING_STEPS},
    )
    return BlockRegression(dict(table), rates_ms, dict(zip(names, found.x.tolist())), tuple(assumed))


def base_ms(blocks: Sequence[Block], rates_ms: np.ndarray) -> np.ndarray:
    """Milliseconds by rates alone."""
    return np.maximum(np.ascontiguousarray(costs(blocks) * rates_ms).sum(1), 1e-9)


@dataclass(frozen=True, eq=False)
class Placed:
    """Blocks as the Gaussian process sees them: coordinates, and numbers that tell kinds, families and maps apart."""

    where: np.ndarray
    labels: np.ndarray

    @staticmethod
    def of(blocks: Sequence[Block]) -> Placed:
        """Equal labels have equal numbers within this process."""
        labels = [
            [hash(block_kind(block)), hash(family(block)), hash((block.in_h, block.out_h, block_kind(block)))]
            for block in blocks
        ]
        return Placed(coordinates(blocks), np.array(labels, np.int64).reshape(len(blocks), 3))


def covariance(left: Placed, right: Placed, parameters: Mapping[str, float]) -> np.ndarray:
    """Covariance of log residuals, float64 ``[left, right]``."""
    one, two = left.where, right.where
    kind, alike, map_size = (left.labels[:, column, None] == right.labels[:, column] for column in range(3))
    amplitude = {name: np.exp(2 * parameters[name]) for name in ("shape", "family", "map")}
    like = np.exp(-0.5 * _squares(one, two) / np.exp(2 * parameters["shape_length"]))
    along = np.exp(-0.5 * _squares(one[:, :1], two[:, :1]) / np.exp(2 * parameters["map_length"]))
    beside = np.exp(-0.5 * _squares(one[:, 1:], two[:, 1:]))
    total = amplitude["shape"] * like + SLOPE**2 * (1 + one @ two.T)
    total += amplitude["family"] * alike * along + amplitude["map"] * map_size * beside
    return np.asarray(total * kind)


def variance(placed: Placed, parameters: Mapping[str, float]) -> np.ndarray:
    """Diagonal of :func:`covariance`."""
    own = sum(float(np.exp(2 * parameters[name])) for name in ("shape", "family", "map"))
    return np.asarray(own + SLOPE**2 * (1 + (placed.where**2).sum(1)))


def _squares(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    squares = (left**2).sum(1)[:, None] + (right**2).sum(1) - 2 * left @ right.T
    return np.asarray(np.maximum(squares, 0))
