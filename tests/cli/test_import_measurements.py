import json
from pathlib import Path

from natdeploy.compiler import onnx_bytes
from natdeploy.spaces import get_space, random_network
from tests.latency.made_up_gpu import write_files

PAGE = "### Board\n  squeezenet  min = 11.73  max = 11.88  avg = 11.78\n"


def test_import_says_what_it_kept_and_where_it_comes_from(natdeploy, tmp_path: Path, own_home: Path) -> None:
    (tmp_path / "README.md").write_text(PAGE)
    found = natdeploy("import-measurements", "--format", "ncnn", "--device", "host", "--json", tmp_path / "README.md")
    assert found.exit_code == 0
    result = json.loads(found.stdout)
    assert (result["named"], result["counts"], result["runtimes"]) == ("Board", {"model": 1}, ["ncnn"])
    assert "Tencent/ncnn" in result["source"]
    assert Path(result["stored"]).is_relative_to(own_home)
    assert "known by name alone" in result["uses"][0]
    assert not (own_home / "measurements.sqlite").exists()


def test_a_model_is_estimated_by_imported_kernels(natdeploy, tmp_path: Path) -> None:
    operators, _ = write_files(tmp_path, networks=8)
    space = get_space("mbv3-micro")
    (tmp_path / "subnet.onnx").write_bytes(onnx_bytes(random_network(space.layers(space.smallest()))))
    options = ("--format", "mobile-ml-benchmark", "--device", "pixel4-gpu", "--of", "made-up")
    lines = operators.read_text().splitlines(keepends=True)
    few = operators.with_name("tflite_few.csv")
    few.write_text("".join(line for line in lines if ",DEPTHWISE_CONV_2D," not in line))
    assert natdeploy("import-measurements", *options, few).exit_code == 0
    found = natdeploy("estimate", tmp_path / "subnet.onnx", "--device", "pixel4-gpu")
    assert found.exit_code == 2
    assert "(kernel DEPTHWISE_CONV_2D)" in found.stderr
    assert len(found.stderr.strip().splitlines()) == 1
    found = natdeploy("import-measurements", *options, operators)
    assert "natdeploy estimate and search predict networks on pixel4-gpu from these kernels" in found.output
    found = natdeploy("estimate", tmp_path / "subnet.onnx", "--device", "pixel4-gpu", "--top", "2")
    assert found.exit_code == 0
    for text in ("(tflite, gpu float): ", "of 8 networks", "source: table", "that of phones elsewhere"):
        assert text in " ".join(found.output.split())


def test_import_refuses_what_it_does_not_know(natdeploy, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(PAGE)
    for option, message in (("--format", "unknown measurement format 'odd'"), ("--device", "unknown device 'odd'")):
        options = {"--format": "ncnn", "--device": "host", option: "odd"}
        found = natdeploy(
            "import-measurements", *(part for pair in options.items() for part in pair), tmp_path / "README.md"
        )
        assert found.exit_code == 2
        assert message in found.stderr
