import json
from pathlib import Path

PAGE = "### Board\n  squeezenet  min = 11.73  max = 11.88  avg = 11.78\n"


def test_import_says_what_it_kept_and_where_it_comes_from(natdeploy, tmp_path: Path, own_home: Path) -> None:
    (tmp_path / "README.md").write_text(PAGE)
    found = natdeploy("import-measurements", "--format", "ncnn", "--device", "host", "--json", tmp_path / "README.md")
    assert found.exit_code == 0
    result = json.loads(found.stdout)
    assert (result["named"], result["counts"], result["runtimes"]) == ("Board", {"model": 1}, ["ncnn"])
    assert "Tencent/ncnn" in result["source"]
    assert Path(result["stored"]).is_relative_to(own_home)
    assert not (own_home / "measurements.sqlite").exists()


def test_import_refuses_what_it_does_not_know(natdeploy, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(PAGE)
    for option, message in (("--format", "unknown measurement format 'odd'"), ("--device", "unknown device 'odd'")):
        options = {"--format": "ncnn", "--device": "host", option: "odd"}
        found = natdeploy(
            "import-measurements", *(part for pair in options.items() for part in pair), tmp_path / "README.md"
        )
        assert found.exit_code == 2
        assert message in found.stderr
