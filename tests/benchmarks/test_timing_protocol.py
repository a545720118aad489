"""What timing_protocol.py says of latencies, and the program that keeps a processor busy."""

import os
import time

import numpy as np
import psutil
import pytest

from benchmarks.timing_protocol import background_load, figures_of, load_processor, random_archs


def test_figures_of_repeated_profilings() -> None:
    once = np.array([1.0, 2.0, 4.0])
    found = figures_of(np.array([once, 1.1 * once, 0.9 * once]), np.array([once, 2 * once, 3 * once]), "_loaded")
    assert found["repeatability_corrected_loaded"] == pytest.approx(0.1)
    assert found["repeatability_raw_loaded"] == pytest.approx(0.5)
    assert found["corrected_disagreement_loaded"] == pytest.approx(2 * 0.1 / 1.9)  # the middle one of three pairs
    assert found["rank_correlation_loaded"] == 1
    swapped = figures_of(np.array([once, once[[1, 0, 2]]]), np.array([once, once]))
    assert swapped["rank_correlation"] == pytest.approx(0.5) and swapped["repeatability_raw"] == 0


def test_networks_are_distinct_and_of_one_size() -> None:
    archs = random_archs("mbv3-micro", 28, 20, seed=3)
    assert len(set(archs)) == 20 and {arch.r for arch in archs} == {28}
    assert archs == random_archs("mbv3-micro", 28, 20, seed=3)


def test_the_load_runs_on_another_processor_where_there_is_one() -> None:
    assert load_processor([0, 1, 2], [2]) == 1
    assert load_processor([1], [1]) == 1


def test_a_processor_is_kept_busy_until_the_end_of_the_block() -> None:
    before, others = os.times(), psutil.Process().children()
    with background_load(sorted(os.sched_getaffinity(0))[-1]):
        time.sleep(0.5)
    spent = os.times()
    assert spent.children_user + spent.children_system > before.children_user + before.children_system
    assert psutil.Process().children() == others
