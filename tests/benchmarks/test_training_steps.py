import json
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.mark.slow  # needs once-for-all's package in an environment of its own
def test_a_step_is_no_slower_than_once_for_alls_and_does_the_same() -> None:
    command = [sys.executable, "benchmarks/training_steps.py", "--json", "--quick", "--seed", "2"]
    ran = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    figures = json.loads(ran.stdout)["figures"]
    assert figures["loss_difference"] < 1e-4  # of weights that one step has moved
    assert figures["loss_difference_last"] < 1e-3
    assert figures["steps"] == 3
    assert figures["ratio_processor"] <= 1  # of processor times of the same moment, not a time
