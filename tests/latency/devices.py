"""Made-up devices for tests of transfer: each a price per operator and a little of its own, with noise."""

from functools import lru_cache

import numpy as np

from natdeploy.spaces import Arch, get_space

SPACE = get_space("nasbench201")


@lru_cache(maxsize=1)
def cells() -> tuple[Arch, ...]:
    """Distinct random cells."""
    rng = np.random.default_rng(0)
    return tuple(dict.fromkeys(SPACE.sample(rng) for _ in range(700)))


def latency_ms(arch: Arch, device: int, noise: float = 0.01) -> float:
    """Latency on made-up device 0, 1, ...: rates of operators, more for early edges on odd devices."""
    rng = np.random.default_rng([device, 1])
    base = np.array([0.0, 0.3, 0.8, 1.5, 4.0])
    price = base * rng.uniform(0.6, 1.6, 5)
    edges = 1 + 0.3 * (device % 2) * np.linspace(1, -1, 6)
    genome = SPACE.encode(arch)
    spread = np.random.default_rng([device, *genome.tolist()]).standard_normal()
    return float((2 + (price[genome] * edges).sum()) * np.exp(noise * spread) * (1 + device))


def table(device: int, archs: tuple[Arch, ...]) -> dict[Arch, float]:
    """Latencies in ms of some cells."""
    return {arch: latency_ms(arch, device) for arch in archs}
