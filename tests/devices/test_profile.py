from pathlib import Path
from typing import Any

import pytest
import yaml

from natdeploy.devices import (
    list_profiles,
    llvm_target,
    load_profile,
    parse_profile,
    read_profile,
    shipped_profiles_dir,
    user_profiles_dir,
)
from natdeploy.devices.profile import HardwareProfile
from natdeploy.ground.errors import BadInput


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))


def phone(**changes: Any) -> dict[str, Any]:
    value: dict[str, Any] = {
        "schema_version": 1,
        "name": "phone",
        "title": "A phone",
        "soc": "Some SoC",
        "clusters": [
            {
                "name": "big",
                "core": "Cortex-A76",
                "cores": 2,
                "processors": [4, 5],
                "clock_mhz": 2400,
                "isa": ["asimd", "asimddp"],
                "vector_bits": 128,
                "peak_gflops_per_core": 38.4,
                "caches": [{"level": 2, "kind": "unified", "kib": 256}],
                "llvm_cpu": "cortex-a76",
                "llvm_features": ["+dotprod"],
            },
            {"name": "little", "core": "Cortex-A55", "cores": 4, "vector_bits": 128, "llvm_cpu": "cortex-a55"},
        ],
        "memory": {"gib": 6, "bandwidth_gb_s": 34.1},
        "gpu": {"name": "Adreno 640", "api": "opencl", "peak_gflops": 954},
        "llvm_triple": "aarch64-linux-android",
        "runtimes": ["tvm"],
        "reach": {"via": ["adb", "qemu"], "abi": "arm64-v8a", "models": ["Phone 4"]},
        "timing": {"cluster": "big", "threads": 2, "max_drift": 0.1},
        "power": {"idle_w": 1.1},
        "sources": ["https://example.org/phone"],
    }
    value.update(changes)
    return value


def write(folder: Path, value: Any, name: str = "phone") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(value if isinstance(value, str) else yaml.safe_dump(value))
    return path


def test_every_shipped_profile_is_valid_and_named_like_its_file() -> None:
    profiles = [read_profile(path) for path in shipped_profiles_dir().glob("*.yaml")]
    assert "host" in {profile.name for profile in profiles}
    assert list_profiles() == sorted(profiles, key=lambda profile: profile.name)


def test_every_field_is_documented() -> None:
    def models(model: Any) -> list[Any]:
        return [model, *model.model_json_schema().get("$defs", {}).values()]

    root, *parts = models(HardwareProfile)
    for properties in (root.model_json_schema()["properties"], *(part["properties"] for part in parts)):
        for name, field in properties.items():
            assert field.get("description"), name


def test_target_of_a_written_profile(tmp_path: Path) -> None:
    profile = load_profile(write(tmp_path, phone()))
    assert llvm_target(profile) == {
        "kind": "llvm",
        "mtriple": "aarch64-linux-android",
        "mcpu": "cortex-a76",
        "mattr": ["+dotprod"],
        "num-cores": 2,
    }


def test_the_users_own_profile_comes_first() -> None:
    write(user_profiles_dir(), phone(name="host", title="Mine"), "host")
    assert load_profile("host").title == "Mine"
    assert [profile.title for profile in list_profiles() if profile.name == "host"] == ["Mine"]


def test_two_profiles_of_one_name_are_refused() -> None:
    first = write(user_profiles_dir(), phone())
    second = write(user_profiles_dir(), phone(), "phone-again")
    with pytest.raises(BadInput, match=f"{second}: field 'name': two profiles are named 'phone', .*{first}"):
        list_profiles()
    second.rename(second.with_name("phone.yml"))
    with pytest.raises(BadInput, match="two profiles are named 'phone'"):
        load_profile("phone")


def test_a_profile_may_end_in_yml() -> None:
    path = write(user_profiles_dir(), phone())
    path.rename(path.with_suffix(".yml"))
    assert load_profile("phone") == parse_profile(phone(), "test")


def cluster(**changes: Any) -> dict[str, Any]:
    return phone(clusters=[{**phone()["clusters"][0], **changes}])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (phone(clocks=3), "unknown field 'clocks'"),
        (cluster(clock_mhz=-1), "'clusters.0.clock_mhz'"),
        (cluster(clock_mhz=99_999), "'clusters.0.clock_mhz'"),
        (cluster(clock_mhz=2.4), "'clusters.0.clock_mhz'.*greater than or equal to 100"),
        (cluster(fmas_per_cycle=64), "'clusters.0.fmas_per_cycle'"),
        (cluster(fmas_per_cycle=2, peak_gflops_per_core=60), "60 is impossible: .* allow 38.4"),
        (phone(compute="gpu", gpu=None), "add the section gpu"),
        (phone(compute="npu"), "'compute'"),
        (phone(clusters=[phone()["clusters"][0], {**phone()["clusters"][0], "name": "b"}]), "list one processor"),
        (cluster(clock_mhz=float("nan")), "'clusters.0.clock_mhz'"),
        (cluster(cores=0), "'clusters.0.cores'"),
        (cluster(cores=True), "'clusters.0.cores'"),
        (cluster(cores=3), "'clusters.0'.*processors lists 2 numbers"),
        (cluster(vector_bits=100), "'clusters.0.vector_bits'"),
        (cluster(llvm_cpu="native"), "'clusters.0'.*native"),
        (cluster(llvm_cpu="x; rm -rf /"), "'clusters.0.llvm_cpu'"),
        (cluster(llvm_features=["dotprod"]), "'clusters.0.llvm_features.0'"),
        (phone(clusters=[]), "at least one cluster"),
        (phone(clusters=[phone()["clusters"][0]] * 2), "two clusters have one name"),
        (phone(llvm_triple=None), "llvm_triple"),
        (phone(runtimes=[]), "'runtimes'"),
        (phone(runtimes=["tvm", "tflite"]), "'runtimes'.*unknown runtime 'tflite'; known: onnxruntime, tvm"),
        (phone(reach={"via": ["telepathy"]}), "'reach.via.0'"),
        (phone(timing={"cluster": "huge"}), "timing.cluster"),
        (phone(timing={"threads": 0}), "'timing.threads'"),
        (phone(schema_version=2), "'schema_version'"),
        (phone(name="telephone"), "field 'name' is 'telephone', expected .*'phone'"),
        ({key: value for key, value in phone().items() if key != "title"}, "field 'title' is missing"),
        ("name: [", "not a readable hardware profile in line"),
        ("just text", "phone.yaml"),
        ("", "phone.yaml"),
        ("!!python/object/apply:os.system ['true']", "not a readable hardware profile"),
    ],
)
def test_a_bad_profile_is_refused_in_one_line_naming_file_and_field(tmp_path: Path, value: Any, expected: str) -> None:
    path = write(tmp_path, value)
    with pytest.raises(BadInput, match=expected) as caught:
        load_profile(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_device_lists_the_known_ones() -> None:
    with pytest.raises(BadInput, match=r"unknown device 'pixl4' \(did you mean pixel4\?\); known: .*host"):
        load_profile("pixl4")
    with pytest.raises(BadInput, match=r"unknown device 'toaster'; known: .*host"):
        load_profile("toaster")
    with pytest.raises(BadInput, match="no such hardware profile"):
        load_profile("nowhere/toaster.yaml")


def test_a_derived_profile_that_is_not_filled_in_has_no_target() -> None:
    bare = load_profile("host", derive=False)
    assert bare.clusters == ()
    with pytest.raises(BadInput, match="not filled in"):
        llvm_target(bare)


def test_a_profile_survives_being_written(tmp_path: Path) -> None:
    profile = parse_profile(phone(), "test")
    path = write(tmp_path, profile.model_dump(mode="json"))
    assert load_profile(path) == profile
