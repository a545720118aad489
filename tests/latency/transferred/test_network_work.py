"""Networks on devices that timed others, from what their operators compute and move."""

import numpy as np
import pytest

from natdeploy.ground.errors import BadInput
from natdeploy.latency.transferred.network_work import NetworksOnDevices, network_work


def operator(operation: str, **feature: object) -> dict[str, object]:
    known = {"input_shape": 10, "input_channel": 8, "output_shape": 10, "stride": 1, "kernel": 3, "group": 1}
    return {"operation": operation, "kernel": "", "feature": {**known, "filter": "-", **feature}}


def test_work_is_told_apart_by_kind() -> None:
    dense = operator("CONV_2D", filter=16)
    point = operator("CONV_2D", filter=16, kernel=1)
    grouped = operator("CONV_2D_GROUP", filter=16, group=4)
    depthwise = operator("DEPTHWISE_CONV_2D", kernel=5)
    head = operator("FULLY_CONNECTED", filter=10, kernel="-", input_shape="-", output_shape="-")
    work = network_work([dense, point, grouped, depthwise, head])
    assert work[:2].tolist() == [1, 5]
    macs = {"point": 100 * 8 * 16, "dense": 100 * 8 * 16 * 9, "depthwise": 100 * 8 * 25, "grouped": 100 * 8 * 4 * 9}
    assert work[2:7].tolist() == [macs["point"], macs["dense"], 0, macs["depthwise"], macs["grouped"]]
    assert work[7] == 4 and work[9] == 80
    assert np.array_equal(work, network_work([head, depthwise, grouped, point, dense]))


def test_other_networks_tell_what_a_network_takes() -> None:
    rng = np.random.default_rng(0)
    work = np.concatenate([np.ones((80, 1)), np.exp(rng.normal(15, 1, (80, 4)))], axis=1)
    rates = np.array([[2.0, 3e-7, 1e-7, 0, 2e-7], [5.0, 1e-7, 4e-7, 3e-7, 0]]).T
    latency_ms = work @ rates * np.exp(0.02 * rng.normal(size=(80, 2)))
    model = NetworksOnDevices.fit(work[:60], latency_ms[:60])
    found = model(work[60:])
    assert found.shape == (20, 2)
    assert np.mean(np.abs(found / latency_ms[60:] - 1)) < 0.04
    assert (model(0 * work[:1]) > 0).all()


def test_what_rates_leave_over_is_learned() -> None:
    rng = np.random.default_rng(1)
    work = np.exp(rng.normal(10, 1, (120, 3)))
    bend = np.exp(0.3 * np.tanh(np.log(work[:, :1] / work[:, 1:2])))
    latency_ms = work @ np.full((3, 1), 1e-3) * bend
    model = NetworksOnDevices.fit(work[:100], latency_ms[:100])
    base_ms = work[100:] @ model.rates_ms
    assert np.mean(np.abs(np.log(model(work[100:]) / latency_ms[100:]))) < 0.5 * np.mean(
        np.abs(np.log(base_ms / latency_ms[100:]))
    )


def test_too_few_networks_and_impossible_latencies_are_refused() -> None:
    with pytest.raises(BadInput, match="4 of them were timed, at least 5"):
        NetworksOnDevices.fit(np.ones((4, 2)), np.ones((4, 1)))
    with pytest.raises(BadInput, match="positive"):
        NetworksOnDevices.fit(np.ones((6, 2)), np.zeros((6, 1)))
