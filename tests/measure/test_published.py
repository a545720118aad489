import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natdeploy.ground.errors import BadInput
from natdeploy.measure.formats.lookup_tables import msunas_lut
from natdeploy.measure.publications import FORMATS, import_published, read_published
from natdeploy.measure.published import PublishedTable, published_tables
from natdeploy.spaces import Arch, Block

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "latency"

OFA = """\
Conv-input:96x96x3-output:48x48x24:
  mean: 0.5
  std: 0.01
  count: 500
expanded_conv-input:48x48x24-output:24x24x32-expand:72-kernel:7-stride:2-idskip:0-se:0-hs:1:
  mean: 3.5
  var: 0.04
Logits-input:1x1x1536-output:1000: {mean: 0.65}
"""
BLOCK = "MBConv-input:{h}x{h}x{c}-output:{h}x{h}x{c}-expand:{e}-kernel:{k}-stride:1-idskip:1-se:{se}"
MODELS = "model,FLOPS,size,pixel4|1large|float|mean,pixel4|1large|float|std,s10|gpu|float|mean,s10|gpu|float|std\n"
OPERATORS = "model,operation,feature,pixel4|gpu|float,pixel4|gpu|kernel\n"
FEATURE = "\"{'Input_shape': '224', 'Kernel': '3', 'Group': '-'}\""
PAGE = """\
### A board (Cortex-A76 x 4)
```
loop_count = 4
num_threads = 2
powersave = 0
gpu_device = -1
          squeezenet  min =   11.73  max =   11.88  avg =   11.78
         yolov4-tiny  min =   85.65  max =   85.97  avg =   85.79
          squeezenet  min =   11.73  max =   11.88  avg =   12.78
```
"""


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))


def written(tmp_path: Path, text: str, name: str = "file") -> Path:
    (tmp_path / name).write_text(text)
    return tmp_path / name


def test_a_table_of_blocks_as_upstream_has_it(tmp_path: Path) -> None:
    stem, block, classifier = read_published("ofa-lut", written(tmp_path, OFA))
    assert Block(**stem.what) == Block("conv", 96, 96, 3, 48, 48, 24, kernel=3, stride=2)
    assert (stem.latency_ms, stem.spread_ms) == (0.5, 0.01)
    assert Block(**block.what) == Block("mbconv", 48, 48, 24, 24, 24, 32, 72, 7, 2, hswish=True)
    assert block.spread_ms == pytest.approx(0.2)
    assert Block(**classifier.what) == Block("linear", 1, 1, 1536, 1, 1, 1000)
    assert classifier.spread_ms is None


@given(
    h=st.integers(1, 300),
    c=st.integers(1, 512),
    e=st.sampled_from((1, 3, 4, 6)),
    k=st.sampled_from((3, 5, 7)),
    se=st.booleans(),
    mean=st.floats(1e-6, 1e4),
)
def test_every_block_of_a_table_is_read_as_it_is_written(
    tmp_path_factory: pytest.TempPathFactory, h: int, c: int, e: int, k: int, se: bool, mean: float
) -> None:
    path = tmp_path_factory.mktemp("table") / "lut.yaml"
    path.write_text(f"{BLOCK.format(h=h, c=c, e=e, k=k, se=int(se))}: {{mean: {mean!r}, var: 0.0}}\n")
    (timing,) = msunas_lut(path)
    assert Block(**timing.what) == Block("mbconv", h, h, c, h, h, c, e * c, k, 1, True, se)
    assert (timing.latency_ms, timing.spread_ms) == (mean, 0.0)


def test_networks_are_architectures_of_their_space(tmp_path: Path) -> None:
    blocks = "-".join(["3"] * 20)
    text = "arch_id,image_size,depths,kernels,expands,device,batch,latency_ms\n"
    text += f"0,128,2-2-2-2-3,{blocks},{blocks},v100,1,4.5\n"
    (timing,) = read_published("help", written(tmp_path, text))
    arch = Arch.from_json(timing.what)
    assert (arch.space, arch.r, arch.d, len(arch.ks)) == ("ofa-mbv3-w1.0", 128, (2, 2, 2, 2, 3), 11)
    assert (timing.device, timing.setting, timing.latency_ms) == ("v100", "batch 1", 4.5)


def test_rows_that_the_publication_calls_invalid_are_left_out(tmp_path: Path) -> None:
    cell = "|none~0|+|none~0|none~1|+|none~0|none~1|nor_conv_3x3~2|"
    rows = f"1,{cell},pixel3,HW-NAS-Bench,f,2.5,1\n2,{cell},edgetpu,HW-NAS-Bench,f,-1.0,0\n"
    text = "arch_id,arch_str,device,measured_by,source_file,latency_ms,valid\n" + rows
    (timing,) = read_published("oneproxy", written(tmp_path, text))
    assert (timing.device, timing.latency_ms) == ("pixel3", 2.5)


def test_models_and_operators_of_phones_in_microseconds(tmp_path: Path) -> None:
    models = written(tmp_path, MODELS + "bagnet9,318,62,908365.0,1460.0,104048.0,\n", "tflite_cnn_e2e.csv")
    one, two = read_published("mobile-ml-benchmark", models)
    assert (one.device, one.runtime, one.setting) == ("pixel4", "tflite", "1large float")
    assert (one.latency_ms, one.spread_ms) == (pytest.approx(908.365), pytest.approx(1.46))
    assert (two.device, two.setting, two.spread_ms) == ("s10", "gpu float", None)
    rows = f"a,CONV_2D,{FEATURE},320.4,k0\na,CONV_2D,{FEATURE},,k1\nb,MEAN,{FEATURE},1.5,k2\n"
    operators = written(tmp_path, OPERATORS + rows, "tflite_cnn_ops_gpu.csv")
    first, last = read_published("mobile-ml-benchmark", operators)
    assert first.what["feature"] == {"input_shape": 224, "kernel": 3, "group": "-"}
    assert (first.what["op_index"], last.what["op_index"], last.latency_ms) == (0, 0, pytest.approx(0.0015))


def test_ncnns_page(tmp_path: Path) -> None:
    first, other, again = read_published("ncnn", written(tmp_path, PAGE))
    assert (first.device, first.latency_ms) == ("A board (Cortex-A76 x 4)", 11.78)
    assert first.setting == "num_threads 2, powersave 0, gpu_device -1"
    assert (other.what["model"], again.what["repeat"]) == ("yolov4_tiny", 1)


@pytest.mark.parametrize(
    ("format_name", "name", "text", "message"),
    [
        ("ofa-lut", "a.yaml", OFA.replace("mean: 3.5", "mean: fast"), "line 6, column 9: found 'fast'"),
        ("ofa-lut", "a.yaml", OFA.replace("mean: 3.5", "median: 3.5"), "line 6, column 3: field 'mean' is missing"),
        ("ofa-lut", "a.yaml", OFA.replace("stride:2", "stride:x"), "line 5, column 1: field 'stride'"),
        ("ofa-lut", "a.yaml", OFA.replace("Logits", "Softmax"), "line 8, column 1: found block 'Softmax'"),
        ("ofa-lut", "a.yaml", OFA.replace("96x96x3", "96x96"), "line 1, column 1: found shape '96x96'"),
        ("ofa-lut", "a.yaml", "a: [1\n", "line 2, column 1: not plain YAML"),
        ("ofa-lut", "a.yaml", "- 1\n", "line 1: expected a table"),
        ("ofa-lut", "a.csv", "op,latency_ms\n", "line 1, column 'in_h': is missing"),
        ("help", "a.csv", "ops,device,batch,latency_ms\nk3_e1,a,1,2\n", "line 2, column 'ops'"),
        ("help", "a.csv", "genes,device,batch,latency_ms\n", "line 1: no column tells the architecture"),
        (
            "mobile-ml-benchmark",
            "tflite_a.csv",
            MODELS + "a,1,2,zero,1,1,1\n",
            r"line 2, column 'pixel4.1large.float.mean'",
        ),
        ("mobile-ml-benchmark", "tflite_a.csv", MODELS + "a,1,2,3\n", "line 2: 4 fields, expected 7"),
        ("mobile-ml-benchmark", "a.csv", MODELS, "line 1: found 'a.csv', expected a name that starts with tflite"),
        ("mobile-ml-benchmark", "torch_a.csv", OPERATORS + "a,MEAN,__import__('os'),1,k\n", "line 2, column 'feature'"),
        ("ncnn", "a.md", PAGE.replace("avg =   85.79", "avg = "), "line 8, column 23: expected NAME min"),
        ("ncnn", "a.md", "nothing\n", "line 1: no table"),
    ],
)
def test_bad_input_is_named_by_line_and_column(
    tmp_path: Path, format_name: str, name: str, text: str, message: str
) -> None:
    path = written(tmp_path, text, name)
    with pytest.raises(BadInput, match=message) as error:
        import_published(format_name, path, "host")
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)
    assert published_tables("host") == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x80\x04\x95pickle", "a pickle or PyTorch archive"),
        (b"PK\x03\x04archive", "a pickle or PyTorch archive"),
        (b"\x1f\x8bnot gzip", "cannot be read"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"op,latency_ms\n\xff\xfe", "line 2, column 1: not UTF-8"),
        (b"", "line 1"),
    ],
)
def test_files_that_are_no_text_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "file").write_bytes(data)
    for name in FORMATS.names():
        with pytest.raises(BadInput, match=message):
            read_published(name, tmp_path / "file")


def test_an_import_keeps_where_it_comes_from_and_happens_once(tmp_path: Path) -> None:
    path = tmp_path / "table.yaml.gz"
    path.write_bytes(gzip.compress(OFA.encode()))
    table, stored = import_published("ofa-lut", path, "host")
    publication = table.origin.publication
    assert "CompOFA" in publication.source
    assert (publication.licence, table.origin.file, table.origin.device) == ("Apache-2.0", "table.yaml.gz", "")
    before = stored.read_bytes()
    assert import_published("ofa-lut", path, "host")[1] == stored
    assert stored.read_bytes() == before
    assert published_tables("host") == [PublishedTable.load(stored)]
    own, elsewhere = import_published("ofa-lut", path, "host", source="my own", licence="MIT", runtime="tflite 2.9")
    assert elsewhere != stored
    assert (own.origin.publication.source, own.origin.publication.runtime) == ("my own", "tflite 2.9")


def test_a_device_must_be_one_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, MODELS + "a,1,2,3,1,4,1\n", "tflite_a.csv")
    with pytest.raises(BadInput, match="no device 'host' in this file; say which one is meant with --of: pixel4; s10"):
        import_published("mobile-ml-benchmark", path, "host")
    table, _ = import_published("mobile-ml-benchmark", path, "host", named="s10")
    assert [timing.device for timing in table.timings] == ["s10"]


def test_damaged_published_measurements_are_named(tmp_path: Path) -> None:
    _, stored = import_published("ncnn", written(tmp_path, PAGE), "host")
    stored.write_text(stored.read_text().replace("11.78", "1.178"))
    with pytest.raises(BadInput, match="damaged published measurements"):
        published_tables("host")
    stored.write_text(json.dumps({"kind": "another"}))
    with pytest.raises(BadInput, match="not published measurements"):
        published_tables("host")


def test_the_tidied_tables_beside_the_checkout() -> None:
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not there: published measurements are needed")
    for format_name, file, count in (
        ("ofa-lut", "ofa_note10_lut.csv", 1152),
        ("proxyless-lut", "proxyless_pixel1_lut.csv", 51),
        ("msunas-lut", "msunas_i7_8700k_lut.csv", 3380),
        ("ncnn", "ncnn_benchmark.csv.gz", 6208),
    ):
        assert len(read_published(format_name, SHARED / file)) == count
