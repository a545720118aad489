import json
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.mark.slow  # installs torch and ofa into an environment of their own
def test_once_for_all_and_we_give_the_same_logits() -> None:
    command = [sys.executable, "benchmarks/ofa_equivalence.py", "--json", "--quick", "--seed", "3"]
    ran = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    figures = json.loads(ran.stdout)["figures"]
    assert figures["max_abs_diff"] <= 1e-4
    assert figures["logits_std"] > 0.01
    assert figures["params_equal"] == figures["macs_equal"] == 1
    assert figures["subnets"] == 4
