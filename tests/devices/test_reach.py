from typing import Any

import pytest

from natdeploy.devices import Adb, HardwareProfile, Local, Qemu, Ssh, TvmRpc, load_profile, parse_profile
from natdeploy.ground.errors import BadInput


def board(triple: str = "aarch64-linux-gnu", **reach: Any) -> HardwareProfile:
    value = {
        "name": "board",
        "title": "A board",
        "clusters": [{"name": "cpu", "core": "Cortex-A76", "cores": 4, "vector_bits": 128, "llvm_cpu": "cortex-a76"}],
        "llvm_triple": triple,
        "runtimes": ["tvm"],
        "reach": {"via": ["ssh", "adb", "tvm-rpc", "qemu"], **reach},
    }
    return parse_profile(value, "board.yaml")


def test_a_way_that_is_not_described_has_defaults_that_fit_any_unit() -> None:
    assert board().way() == board().way("ssh") == Ssh(host="board", folder="/tmp")
    assert board().way("adb") == Adb(serial=None, folder="/data/local/tmp")
    assert board().way("tvm-rpc") == TvmRpc(host="127.0.0.1", port=9190, key="board", session_timeout_s=3600)
    assert board().way("qemu") == Qemu()
    assert load_profile("host", derive=False).way() == Local()


def test_what_a_profile_says_of_a_way_is_kept() -> None:
    ssh = {"host": "10.0.0.7", "user": "pi", "port": 2222, "key": "~/.ssh/id_board", "folder": "/var/tmp"}
    assert board(ssh=ssh).way("ssh") == Ssh(**ssh)
    assert board(adb={"serial": "192.168.0.9:5555"}).way("adb") == Adb(serial="192.168.0.9:5555")
    rpc = {"host": "farm.example", "port": 9000, "key": "a76", "session_timeout_s": 5}
    assert board(tvm_rpc=rpc).way("tvm-rpc") == TvmRpc(**rpc)


def test_a_way_that_is_not_listed_is_refused() -> None:
    with pytest.raises(BadInput, match=r"'board'.*'reach.via' is qemu, not ssh"):
        board(via=["qemu"]).way("ssh")


@pytest.mark.parametrize(
    ("reach", "expected"),
    [
        ({"via": []}, "'reach.via'"),
        ({"via": ["qemu", "qemu"]}, "one way twice"),
        ({"via": ["qemu"], "ssh": {}}, "ssh is described, but via does not list ssh"),
        ({"via": ["qemu"], "tvm_rpc": {}}, "via does not list tvm-rpc"),
        ({"adb": {"serial": ";rm -rf x"}}, "'reach.adb.serial'"),
        ({"adb": {"serial": "-s"}}, "'reach.adb.serial'"),
        ({"adb": {"folder": "/tmp/$(id)"}}, "'reach.adb.folder'"),
        ({"ssh": {"host": "-oProxyCommand=id"}}, "'reach.ssh.host'"),
        ({"ssh": {"host": "board\n"}}, "'reach.ssh.host'"),
        ({"ssh": {"user": "a b"}}, "'reach.ssh.user'"),
        ({"ssh": {"port": 65_536}}, "'reach.ssh.port'"),
        ({"ssh": {"port": True}}, "'reach.ssh.port'"),
        ({"ssh": {"key": "-x"}}, "'reach.ssh.key'"),
        ({"ssh": {"password": "x"}}, "unknown field 'reach.ssh.password'"),
        ({"tvm_rpc": {"session_timeout_s": 0}}, "'reach.tvm_rpc.session_timeout_s'"),
        ({"abi": "arm64"}, "'reach.abi'"),
        ({"abi": "armeabi-v7a"}, "'armeabi-v7a' is not the interface of 'aarch64-linux-gnu'"),
    ],
)
def test_a_reach_that_cannot_be_is_refused_in_one_line(reach: dict[str, Any], expected: str) -> None:
    with pytest.raises(BadInput, match=expected) as caught:
        board(**reach)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("triple", "machine", "abi"),
    [
        ("aarch64-linux-android", "aarch64", "arm64-v8a"),
        ("arm64-apple-ios", "aarch64", "arm64-v8a"),
        ("armv7l-linux-gnueabihf", "armv7l", "armeabi-v7a"),
        ("x86_64-linux-gnu", "x86_64", "x86_64"),
        ("riscv64-linux-gnu", "riscv64", None),
    ],
)
def test_the_triple_says_what_the_device_calls_itself(triple: str, machine: str, abi: str | None) -> None:
    assert (board(triple).machine, board(triple).abi) == (machine, abi)


def test_a_derived_profile_that_is_not_filled_in_has_no_machine() -> None:
    with pytest.raises(BadInput, match="not filled in"):
        _ = load_profile("host", derive=False).machine


def test_models_the_device_may_report() -> None:
    assert board().reach.accepts("anything")
    reach = board(models=["Pixel 4", "Raspberry Pi 4 Model B*"]).reach
    assert reach.accepts("Pixel 4") and reach.accepts("Raspberry Pi 4 Model B Rev 1.4")
    assert not reach.accepts("Pixel 4a") and not reach.accepts("pixel 4")
