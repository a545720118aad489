"""The front as a picture."""

import io
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image

from natdeploy.ground.errors import BadInput
from natdeploy.report import write_picture
from tests.report.made_run import make_run

SVG = "{http://www.w3.org/2000/svg}"


def texts(path):
    return {"".join(text.itertext()).strip() for text in ElementTree.parse(path).iter(f"{SVG}text")}


def test_an_svg_says_what_it_shows(made, tmp_path):
    found = texts(write_picture([made.run], tmp_path / "front.svg"))
    assert {"digits-run: digits on host", "budget 0.500 ms", "top-1, %", "built and measured"} <= found
    assert f"{len(made.archive)} architectures" in found
    for tag in ElementTree.parse(tmp_path / "front.svg").iter():
        assert not tag.tag.endswith(("script", "foreignObject"))
        for name, value in tag.attrib.items():
            assert not name.endswith("href") or value.startswith("#"), value  # nothing is fetched


def test_a_png_is_one(made, tmp_path):
    path = write_picture([made.run], tmp_path / "front.PNG")
    image = Image.open(io.BytesIO(path.read_bytes()))
    assert image.format == "PNG"
    assert min(image.size) > 500
    assert len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)) > 20


@pytest.mark.parametrize("name", ["a.svg", "a.png"])
def test_equal_runs_give_equal_bytes(made, tmp_path, name):
    first = write_picture([made.run], tmp_path / name).read_bytes()
    assert write_picture([made.run], tmp_path / f"again-{name}").read_bytes() == first


def test_several_runs_are_told_apart(made, tmp_path):
    other = make_run(tmp_path / "other-run", count=40, bundles=0, seed=9)
    found = texts(write_picture([made.run, other.run], tmp_path / "fronts.svg"))
    assert {"digits-run, host", "other-run, host"} <= found


@pytest.mark.parametrize("name", ["front.gif", "front", ".svg"])
def test_other_formats_are_refused(made, tmp_path, name):
    with pytest.raises(BadInput, match=r"ends in \.svg or \.png"):
        write_picture([made.run], tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_run_where_nothing_meets_the_budget_is_drawn(tmp_path):
    made = make_run(tmp_path / "run", count=40, bundles=0)
    (made.run.result_path / "front.json").write_text("[]")
    assert "40 architectures" in texts(write_picture([made.run], tmp_path / "none.svg"))
