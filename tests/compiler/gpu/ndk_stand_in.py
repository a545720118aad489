"""Android's NDK as tests need it: absent, or one whose clang is this machine's C compiler."""

from pathlib import Path

import pytest

VARIABLES = ("ANDROID_NDK_HOME", "ANDROID_NDK_ROOT", "ANDROID_HOME", "ANDROID_SDK_ROOT")


def without_ndk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No NDK is found."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


def stand_in_ndk(folder: Path, machine: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An NDK that links for this machine, whatever it is asked for."""
    clang = folder / f"toolchains/llvm/prebuilt/linux-x86_64/bin/{machine}-linux-android24-clang"
    clang.parent.mkdir(parents=True)
    clang.write_text('#!/bin/sh\nexec cc "$@"\n')
    clang.chmod(0o755)
    monkeypatch.setenv("ANDROID_NDK_HOME", str(folder))
    return folder
