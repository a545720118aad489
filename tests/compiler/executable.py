"""model_run as a user sees it: files in, JSON and files out."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np


def model_run(path: Path, *arguments: str, emulator: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [*([emulator] if emulator else []), str(path), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=path.parent)


def run_on(
    path: Path, x: np.ndarray, *arguments: str, emulator: str | None = None
) -> tuple[np.ndarray, dict[str, Any]]:
    """First output on one input, and the JSON."""
    x.astype(x.dtype.newbyteorder("<")).tofile(path.parent / "x.bin")
    done = model_run(path, "--input", "x.bin", *arguments, emulator=emulator)
    assert done.returncode == 0 and not done.stderr, done.stderr
    found = json.loads(done.stdout)
    output = found["outputs"][0]
    values = [np.nan if value is None else value for value in output["values"]]
    return np.array(values, output["dtype"]).reshape(output["shape"]), found
