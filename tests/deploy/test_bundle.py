from pathlib import Path

import pytest
from pydantic import ValidationError

from natdeploy.deploy import Manifest, read_manifest
from natdeploy.deploy.card import model_card
from natdeploy.deploy.manifest import MEASUREMENT_FILES
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import read_json
from tests.deploy.stand_ins import archs, make_bundle, manifest_of


def test_two_builds_differ_in_documented_measurements_only(tmp_path: Path) -> None:
    first = make_bundle(tmp_path / "a" / "bundle", measured_ms=1.5)
    second = make_bundle(tmp_path / "b" / "bundle", measured_ms=1.25)
    assert first != second
    assert first.reproducible_part() == second.reproducible_part()
    different = {
        entry.path
        for entry in first.files
        if (tmp_path / "a/bundle" / entry.path).read_bytes() != (tmp_path / "b/bundle" / entry.path).read_bytes()
    }
    assert different == set(MEASUREMENT_FILES)


def test_two_builds_with_equal_timings_are_equal_bytes(tmp_path: Path) -> None:
    make_bundle(tmp_path / "a" / "bundle")
    make_bundle(tmp_path / "elsewhere" / "bundle")
    sums = [(tmp_path / parent / "bundle" / "SHA256SUMS").read_bytes() for parent in ("a", "elsewhere")]
    assert sums[0] == sums[1]


def test_nothing_names_the_place_it_was_built_in(tmp_path: Path) -> None:
    manifest = make_bundle(tmp_path / "bundle")
    for name in ("manifest.json", *(entry.path for entry in manifest.files)):
        assert str(tmp_path).encode() not in (tmp_path / "bundle" / name).read_bytes()


def test_the_manifest_reads_back(tmp_path: Path) -> None:
    manifest = make_bundle(tmp_path / "bundle")
    assert read_manifest(tmp_path / "bundle" / "manifest.json") == manifest
    assert manifest.accuracy_of("test") is not None and manifest.accuracy_of("val") is None
    measured = manifest.measured_for_budget()
    assert measured is not None and measured.latency_ms == 1.5


def test_every_field_of_the_manifest_is_documented() -> None:
    schema = Manifest.model_json_schema()
    for name, part in schema["$defs"].items():
        assert part.get("description"), name
        for field, found in part["properties"].items():
            assert "description" in found or "$ref" in found, f"{name}.{field}"
        assert part["additionalProperties"] is False


@pytest.mark.parametrize(
    "field, value", [("top1", 1.5), ("images", 0), ("split", "train"), ("standard_error", float("nan"))]
)
def test_impossible_values_are_refused(field: str, value: object) -> None:
    manifest = manifest_of(archs(1)[0]).to_json()
    manifest["accuracy"][0][field] = value
    with pytest.raises(ValidationError, match=field):
        Manifest.model_validate(manifest)


def test_an_older_bundle_is_replaced_as_a_whole(tmp_path: Path) -> None:
    make_bundle(tmp_path / "bundle")
    (tmp_path / "bundle" / "leftover").touch()
    make_bundle(tmp_path / "bundle", measured_ms=1.25)
    assert not (tmp_path / "bundle" / "leftover").exists()
    profile = read_json(tmp_path / "bundle" / "profile.json", "profile")
    assert profile["measurements"][0]["samples_ms"][0] == 1.25


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="cannot write here"):
        make_bundle_at(tmp_path / "file" / "bundle", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["artifacts", "file"]


def make_bundle_at(path: Path, scratch: Path) -> None:
    """Write into ``path`` with artifacts that lie elsewhere."""
    import numpy as np

    from natdeploy.deploy.bundle import Reference, write_bundle
    from tests.deploy.stand_ins import CLASSES, PREPROCESSING

    (scratch / "artifacts").mkdir(exist_ok=True)
    (scratch / "artifacts" / "model.onnx").write_bytes(b"x" * 4096)
    arch = archs(1)[0]
    images = np.zeros((1, 24, 24, 3), np.uint8)
    write_bundle(
        path,
        manifest_of(arch),
        artifacts=scratch / "artifacts",
        arch=arch,
        labels=CLASSES,
        preprocessing=PREPROCESSING,
        reference=Reference(images, PREPROCESSING(images), np.zeros((1, len(CLASSES)), np.float32)),
        measurements=[],
    )


def test_the_card_says_what_the_manifest_says() -> None:
    manifest = manifest_of(archs(1)[0], measured_ms=1.625)
    card = model_card(manifest)
    for text in (
        "90.00%",
        "test images",
        "1.625 ms",
        "90% interval 1.2 to 1.7 ms",
        "2 ms",
        "animals",
        "picked as best",
    ):
        assert text in card
    assert manifest.model.genome in card


def test_the_card_says_when_a_timing_is_not_to_be_trusted() -> None:
    value = manifest_of(archs(1)[0]).to_json()
    value["latency"]["measured"][0]["trusted"] = False
    assert "too restless" in model_card(Manifest.model_validate(value))
    assert "too restless" not in model_card(manifest_of(archs(1)[0]))
