"""What a benchmark's figures depend on besides the code."""

from __future__ import annotations

import os
import platform
import time
from typing import Any


def environment(*, seed: int, quick: bool) -> dict[str, Any]:
    """Processor, load, versions and date of this run, JSON-ready."""
    from importlib.metadata import version

    from natdeploy import __version__
    from natdeploy.devices import load_profile

    host = load_profile("host")
    packages = ("torch", "apache-tvm", "onnxruntime", "xgboost-cpu", "pymoo", "scikit-learn")
    return {
        "natdeploy": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": host.soc,
        "cores": len(os.sched_getaffinity(0)),
        "load_average": os.getloadavg()[0],
        "data": "digits",
        "seed": seed,
        "quick": quick,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "versions": {name: version(name) for name in packages},
    }
