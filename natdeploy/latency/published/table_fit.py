"""A latency model from a published lookup table of blocks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.latency.intervals.conformal import calibration_rank
from natdeploy.latency.intervals.quality import Quality, point_quality
from natdeploy.latency.model import LatencyModel, published_model
from natdeploy.latency.published.block_costs import block_kind, channels
from natdeploy.latency.published.block_regression import BlockRegression, fit_blocks
from natdeploy.latency.published.table_predictor import TablePredictor, half_width, network_errors, table_blocks
from natdeploy.measure.published import Publication, PublishedTiming
from natdeploy.spaces import Block, Space, get_space
from natdeploy.spaces.mobilenetv3 import MobileNetV3Space

#: Networks on which intervals are calibrated, and by which the model is judged, drawn for every group left out.
CALIBRATION = 300
#: Parts into which calibration networks are split to see how the intervals hold.
PARTS = 5


def block_table(timings: Iterable[PublishedTiming]) -> dict[Block, float]:
    """Milliseconds by block; several timings of one block count once, as their geometric mean."""
    found: dict[Block, list[float]] = defaultdict(list)
    for timing in timings:
        if timing.kind == "block":
            found[replace(Block(**timing.what), hswish=None)].append(timing.latency_ms)
    return {block: float(np.exp(np.mean(np.log(values)))) for block, values in found.items()}


def fit_table_model(
    timings: Sequence[PublishedTiming],
    space: Space | str,
    *,
    device: str,
    publication: Publication,
    measured_space: str | None = None,
    assumed: Sequence[str] = (),
    coverage: float = 0.9,
    seed: int = 0,
) -> LatencyModel:
    """Train on a table of blocks, calibrate and judge on networks made of its blocks, each predicted without them.

    Args:
        timings: blocks of one device and runtime.
        space: whose networks shall be predicted.
        device: name of the hardware profile.
        publication: where the table comes from.
        measured_space: the space whose blocks the table has; ``space`` itself if not given.
        assumed: kinds of blocks (:data:`natdeploy.latency.published.block_costs.KINDS`) that the table lacks and that
            may be priced by what others take for their work.
        coverage: share of intervals that shall hold.
        seed: of the networks drawn.

    Raises BadInput for too few blocks, or a table that has no whole network of ``measured_space``.
    """
    space = get_space(space) if isinstance(space, str) else space
    like = space if measured_space is None else get_space(measured_space)
    regression = fit_blocks(block_table(timings), assumed=assumed, seed=seed)
    networks = _networks(regression, like, seed)
    new_channels = not _channels(regression.table) >= _channels(_all_blocks(space, assumed))
    groups = _groups(regression, networks, new_channels)
    left_out_ms, spread = regression.left_out(groups)
    rows = {block: row for row, block in enumerate(regression.table)}
    indices = [[rows[block] for block in network] for network in networks]
    true_ms = np.array(list(regression.table.values()))
    measured, predicted, error_ms = (
        np.array([values[index].sum() for index in indices]) for values in (true_ms, left_out_ms, left_out_ms * spread)
    )
    errors = np.abs(np.log(measured / predicted))
    width = network_errors(predicted, error_ms)
    # New channels may all be mistaken in the same direction, which errors of whole networks would average away.
    parts = [part for index in indices for part in _same_channels(index, groups)] if new_channels else indices
    calibration = np.array([_score(true_ms[part], left_out_ms[part], spread[part]) for part in parts])
    scores = np.quantile(calibration, np.linspace(0, 1, CALIBRATION)) if new_channels else calibration
    inside, half = _held(errors, width, scores, coverage)
    quality = Quality(
        **asdict(point_quality(measured, predicted)),
        coverage=inside,
        nominal_coverage=coverage,
        interval_width=half,
        networks=len(networks),
        training_networks=len(regression.table),
        evaluated_on="sums of blocks, channels left out" if new_channels else "sums of blocks, image sizes left out",
    )
    predictor = TablePredictor(regression, np.sort(scores), space)
    return published_model(predictor, space, device=device, publication=publication, quality=quality)


def _score(true_ms: np.ndarray, left_out_ms: np.ndarray, spread: np.ndarray) -> float:
    """Error of a sum of blocks in units of what it may be."""
    total = left_out_ms.sum()
    return float(abs(np.log(true_ms.sum() / total)) / network_errors(total, (left_out_ms * spread).sum()))


def _same_channels(network: Sequence[int], groups: Sequence[np.ndarray]) -> list[list[int]]:
    """Rows of a network's blocks, those of equal channels together."""
    number = {int(row): index for index, rows in enumerate(groups) for row in rows}
    found: dict[int, list[int]] = defaultdict(list)
    for row in network:
        found[number[row]].append(row)
    return list(found.values())


def _held(errors: np.ndarray, width: np.ndarray, scores: np.ndarray, coverage: float) -> tuple[float, float]:
    """Share of networks whose interval holds, each part's calibrated without it, and the intervals' median width."""
    half = np.zeros(len(errors))
    for part in range(PARTS):
        out = np.arange(len(errors)) % PARTS == part
        others = np.sort(scores[np.arange(len(scores)) % PARTS != part])
        half[out] = half_width(float(others[calibration_rank(len(others), coverage) - 1]), width[out])
    return float(np.mean(errors <= half)), float(np.median(np.exp(half) - np.exp(-half)))


def _networks(regression: BlockRegression, space: Space, seed: int) -> list[list[Block]]:
    """Random networks that the table has every block of, less those of assumed kinds, at its own image sizes."""
    stems = [block for block in regression.table if block_kind(block) == "spatial"]
    sizes = sorted({block.in_h for block in stems})
    if not isinstance(space, MobileNetV3Space) or not sizes:
        raise BadInput(f"latency table: no whole network of space {space.name} can be put together from its blocks")
    at_sizes = replace(space, resolutions=tuple(sizes))
    rng = np.random.default_rng([seed, 22])
    found: list[list[Block]] = []
    for _ in range(4 * CALIBRATION):
        network = _measured(table_blocks(at_sizes.layers(at_sizes.sample(rng))), regression.assumed)
        if all(block in regression.table for block in network):
            found.append(network)
        if len(found) == CALIBRATION:
            return found
    raise BadInput(
        f"latency table: {len(found)} of {4 * CALIBRATION} networks of space {space.name} can be put together from its "
        f"blocks, {CALIBRATION} are needed"
    )


def _groups(regression: BlockRegression, networks: list[list[Block]], new_channels: bool) -> list[np.ndarray]:
    """Rows of the table that are left out together: those of the same channels, or of maps of one image size only."""
    label: dict[Block, object] = {}
    if new_channels:
        label = {block: channels(block) for block in regression.table}
    else:
        sizes: dict[Block, set[int]] = defaultdict(set)
        for network in networks:
            for block in network:
                sizes[block].add(network[0].in_h)
        # Blocks that other image sizes have too are known there; a vector has no image size.
        label = {block: next(iter(found)) for block, found in sizes.items() if len(found) == 1}
    members: dict[object, list[int]] = defaultdict(list)
    for row, block in enumerate(regression.table):
        if block in label and (new_channels or block_kind(block) != "vector"):
            members[label[block]].append(row)
    return [np.array(rows) for rows in members.values()]


def _all_blocks(space: Space, assumed: Sequence[str]) -> list[Block]:
    """Blocks of the smallest and the largest network: between them they have all channels of a space."""
    return [
        block
        for arch in (space.smallest(), space.largest())
        for block in _measured(table_blocks(space.layers(arch)), assumed)
    ]


def _measured(network: Sequence[Block], assumed: Sequence[str]) -> list[Block]:
    return [block for block in network if block_kind(block) not in assumed]


def _channels(table: Mapping[Block, float] | Sequence[Block]) -> set[tuple[object, ...]]:
    return {channels(block) for block in table}
