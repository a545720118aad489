from pathlib import Path

import pytest

from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import read_json
from natdeploy.ground.validation import read_yaml


@pytest.mark.parametrize("text", ["a: [", "a: 2001-99-99", "a: " + "[" * 3000, "a: !!python/name:os.system", "a: \x00"])
def test_yaml_that_cannot_be_read_names_the_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "job.yaml").write_text(text)
    with pytest.raises(BadInput, match=r"job\.yaml: not a readable job file"):
        read_yaml(tmp_path / "job.yaml", "job file")


@pytest.mark.parametrize("text", ["[" * 100_000, "1" * 5000, "nope"])
def test_json_that_cannot_be_read_names_the_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(BadInput, match=r"x\.json: not a readable thing"):
        read_json(tmp_path / "x.json", "thing")
