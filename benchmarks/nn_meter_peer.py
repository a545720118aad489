"""nn-Meter's own code, timed for ``benchmarks/latency.py speed`` in an environment of its own.

    python benchmarks/nn_meter_peer.py FOLDER

Reads ``FOLDER/*.onnx`` and writes ``FOLDER/answer.json``: seconds of the processor for all of them, from ONNX models in
memory to milliseconds, and how many kernels it found. Knows nothing of natdeploy. nn-Meter 2.0 installs and predicts on
Python 3.11 with today's NumPy, scikit-learn 1.9 and onnx 1.23 (it warns that it was not tested with these). Its trained
predictors are no part of the package: ``load_latency_predictor`` downloads them from a release on GitHub, which fails
with a ``ConnectionError`` where only PyPI can be reached. Forests of the size that its builder trains for
``tflite_cpu`` take their place, trained on made-up latencies of the kernels at hand; speed does not depend on what they
learned. So do its fusion rules: those of that backend are taken to be convolution, addition or product with an
activation.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from nn_meter.builder.kernel_predictor_builder.predictor_builder.predictor_lib import init_predictor
from nn_meter.ir_converter import model_to_graph
from nn_meter.kernel_detector import KernelDetector
from nn_meter.predictor.prediction.extract_feature import get_predict_features
from nn_meter.predictor.prediction.predict_by_kernel import merge_conv_kernels, nn_predict
from nn_meter.predictor.prediction.utils import get_kernel_name

BACKEND = "tflite_cpu"
RULES = {f"BF_{first}_relu": {"obey": True} for first in ("conv", "dwconv", "fc", "add")}
#: Kernels on which a forest is trained, as many as nn-Meter's builder samples at least.
SAMPLES = 1000


def kernels_of(detector: KernelDetector, model: Any) -> Any:
    """A model's kernels."""
    detector.load_graph(model_to_graph(model, "onnx"))
    return detector.get_kernels()


def forests(found: list[Any]) -> dict[str, Any]:
    """A forest for each kind of kernel that was found."""
    rows: dict[str, list[Any]] = defaultdict(list)
    for kernels in found:
        for described in get_predict_features(kernels).values():
            (kind,) = described
            rows[get_kernel_name(merge_conv_kernels(kind))].append(described[kind])
    rng = np.random.default_rng(0)
    trained = {}
    for kind, features in rows.items():
        table = np.array(features, float)[rng.integers(len(features), size=SAMPLES)]
        forest = init_predictor(kind, BACKEND)
        forest.set_params(n_jobs=1, oob_score=False, max_features=min(forest.max_features, table.shape[1]))
        trained[kind] = forest.fit(table * rng.uniform(0.5, 2, table.shape), rng.uniform(0.1, 1, SAMPLES))
    return trained


def main() -> None:
    """Read, train, time, write."""
    folder = Path(sys.argv[1])
    models = [onnx.load(path) for path in sorted(folder.glob("*.onnx"))]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as rules:
        json.dump(RULES, rules)
        rules.flush()
        detector = KernelDetector(rules.name)
    found = [kernels_of(detector, model) for model in models]
    predictors = forests(found)
    start = time.process_time()
    for model in models:
        nn_predict(predictors, kernels_of(detector, model))
    seconds = time.process_time() - start
    answer = {"seconds": seconds, "models": len(models), "kernels": sum(map(len, found)), "kinds": sorted(predictors)}
    (folder / "answer.json").write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
