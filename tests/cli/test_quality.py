"""How good a predictor is, and on what that was judged, as ``profile`` and ``devices NAME`` print it."""

import json
from dataclasses import replace

import pytest

from natdeploy import verbs
from natdeploy.verbs.devices import DeviceInfo, DevicesResult, PredictorInfo
from natdeploy.verbs.profile import ProfileResult, RuntimeProfile
from tests.report.made_run import latency_model

JUDGED = {"holdout": "never trained on", "cross-validation": "each left out of training in turn"}


@pytest.mark.parametrize("evaluated_on", JUDGED)
@pytest.mark.parametrize("verb", ["profile", "devices"])
def test_quality_says_what_it_was_judged_on(natdeploy, monkeypatch, verb: str, evaluated_on: str) -> None:
    quality = replace(latency_model().quality, evaluated_on=evaluated_on)
    profiled = ProfileResult("host", "f", "mbv3-micro", (RuntimeProfile("tvm", "measured", quality),))
    known = (PredictorInfo("mbv3-micro", "tvm", "measured", quality),)
    shown = DevicesResult((DeviceInfo("host", "title", None, ("local",), True, ("tvm",), predictors=known),))
    monkeypatch.setattr(verbs, "profile", lambda *_, **__: profiled)
    monkeypatch.setattr(verbs, "devices", lambda *_: shown)
    args = (verb, "host") if verb == "devices" else (verb,)
    text = " ".join(natdeploy(*args).stdout.split())
    assert JUDGED[evaluated_on] in text and f"{quality.networks} networks" in text
    assert all(row in text for row in ("natdeploy", "macs", "lookup table", "timing 10 networks again"))
    assert not any(words in text for judged, words in JUDGED.items() if judged != evaluated_on)
    found = json.loads(natdeploy(*args, "--json").stdout)
    figures = (found["runtimes"] if verb == "profile" else found["devices"][0]["predictors"])[0]["quality"]
    assert figures["evaluated_on"] == evaluated_on and figures["baselines"]["macs"]["mape"] > 0
