"""How a device is reached: the section ``reach`` of a hardware profile.

``reach.via`` lists the ways, the preferred one first. What a way needs to know stands in a section of its own
(``reach.adb``, ``reach.ssh``, ``reach.tvm_rpc``); what it leaves out has a sensible meaning, so that a shipped profile
works for any unit of its kind. A runner asks :meth:`natdeploy.devices.profile.HardwareProfile.way` and gets the
section of its way with every default filled in:

    ssh = profile.way("ssh")        # Ssh(host="rpi4", user=None, port=None, key=None, folder="/tmp")
    adb = profile.way("adb")        # Adb(serial=None, folder="/data/local/tmp")
    rpc = profile.way("tvm-rpc")    # TvmRpc(host="127.0.0.1", port=9190, key="pixel4", session_timeout_s=3600)
    way = profile.way()             # the preferred one; tell them apart by type

What the device at the other end must be: ``profile.machine`` (``uname -m``), ``profile.abi`` (Android's name of it) and
``profile.reach.accepts(model)``. How it is to be timed stands in ``profile.timing``.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from natdeploy.ground.validation import Real, Settings, Whole

Via = Literal["local", "adb", "ssh", "tvm-rpc", "qemu"]
#: What may stand as one word on a command line: no option, no space, nothing a shell would read.
Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._:@%-]*$", max_length=253)]
Folder = Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9._/-]*$", max_length=200)]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_~./][A-Za-z0-9_~./ @+-]*$", max_length=1000)]
Port = Annotated[Whole, Field(ge=1, le=65_535)]


class Local(Settings):
    """This very machine."""


class Adb(Settings):
    """An Android device behind ``adb``: a USB cable or ``adb connect``."""

    serial: Word | None = Field(None, description="as adb devices lists it; any attached unit that fits if not given")
    folder: Folder = Field("/data/local/tmp", description="folder on the device below which scratch folders are made")


class Ssh(Settings):
    """A Linux machine behind OpenSSH. What is left out is up to OpenSSH's own configuration."""

    host: Word | None = Field(None, description="host name, address or alias; the profile's name if not given")
    user: Word | None = Field(None, description="user to log in as")
    port: Port | None = Field(None, description="TCP port of the server")
    key: FileName | None = Field(None, description="file of the private key; ~ is the user's home")
    folder: Folder = Field("/tmp", description="folder on the device below which scratch folders are made")


class TvmRpc(Settings):
    """A device that a TVM RPC tracker hands out."""

    host: Word = Field("127.0.0.1", description="the tracker's host")
    port: Port = Field(9190, description="the tracker's TCP port")
    key: Word | None = Field(None, description="key the device registered with; the profile's name if not given")
    session_timeout_s: Real = Field(3600, gt=0, le=86_400, description="longest session the tracker may grant")


class Qemu(Settings):
    """User-mode emulation on this machine: runs and verifies, never times."""


Way = Local | Adb | Ssh | TvmRpc | Qemu


class Reach(Settings):
    """How to get at the device."""

    via: tuple[Via, ...] = Field(min_length=1, description="ways, the preferred one first")
    abi: Literal["arm64-v8a", "armeabi-v7a", "x86_64", "x86"] | None = Field(
        None, description="binary interface the device must report, as Android names it; follows from llvm_triple"
    )
    models: tuple[Annotated[str, StringConstraints(min_length=1, max_length=200)], ...] = Field(
        (),
        description="names the device may report (ro.product.model, device-tree model), * for any end; none: any name",
    )
    adb: Adb | None = Field(None, description="what adb needs to know")
    ssh: Ssh | None = Field(None, description="what ssh needs to know")
    tvm_rpc: TvmRpc | None = Field(None, description="what tvm-rpc needs to know")

    @model_validator(mode="after")
    def _consistent(self) -> Reach:
        if len(set(self.via)) != len(self.via):
            raise ValueError("via lists one way twice")
        for section in ("adb", "ssh", "tvm_rpc"):
            if getattr(self, section) is not None and section.replace("_", "-") not in self.via:
                raise ValueError(f"{section} is described, but via does not list {section.replace('_', '-')}")
        return self

    def accepts(self, model: str) -> bool:
        """Whether a device that reports this model name is of the profile's kind."""
        return not self.models or any(fnmatchcase(model, pattern) for pattern in self.models)

    def way(self, via: Via, name: str) -> Way:
        """The section of a way with its defaults; ``name``, the profile's, is host and key where none is given."""
        if via == "adb":
            return self.adb or Adb.model_validate({})
        if via == "ssh":
            ssh = self.ssh or Ssh.model_validate({})
            return ssh if ssh.host else ssh.model_copy(update={"host": name})
        if via == "tvm-rpc":
            rpc = self.tvm_rpc or TvmRpc.model_validate({})
            return rpc if rpc.key else rpc.model_copy(update={"key": name})
        return Local() if via == "local" else Qemu()


#: First part of an LLVM triple -> what ``uname -m`` says, Android's name of the binary interface.
_MACHINES = (
    (r"aarch64|arm64", "aarch64", "arm64-v8a"),
    (r"armv[78].*|arm|thumbv7.*", "armv7l", "armeabi-v7a"),
    (r"x86_64|amd64", "x86_64", "x86_64"),
    (r"i[3-6]86", "i686", "x86"),
)


def machine_of(triple: str) -> tuple[str, str | None]:
    """What a device of this LLVM triple calls itself: by ``uname -m``, and as an Android ABI where there is one."""
    first = triple.partition("-")[0]
    for pattern, machine, abi in _MACHINES:
        if re.fullmatch(pattern, first):
            return machine, abi
    return first, None
