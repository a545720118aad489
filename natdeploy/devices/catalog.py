"""Where hardware profiles are found: the user's own folder first, then those shipped with natdeploy."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from natdeploy.devices.profile import HardwareProfile, parse_profile
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import cache_root
from natdeploy.ground.validation import read_yaml

_SUFFIXES = (".yaml", ".yml")


def shipped_profiles_dir() -> Path:
    """The folder of shipped profiles: package data when installed, ``hwprofiles/`` beside the package in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "hwprofiles", package.parent / "hwprofiles"):
        if (folder / "host.yaml").is_file():
            return folder
    raise BadInput(f"{package / 'hwprofiles'}: the shipped hardware profiles are missing; install natdeploy again")


def user_profiles_dir() -> Path:
    """The user's own profiles; need not exist."""
    return cache_root() / "hwprofiles"


def profile_paths() -> dict[str, Path]:
    """Profile name to file, sorted by name; the user's own profiles hide shipped ones of the same name.

    Raises BadInput where two files of one folder have one name.
    """
    found: dict[str, Path] = {}
    for folder in (shipped_profiles_dir(), user_profiles_dir()):
        found |= _in_folder(folder)
    return dict(sorted(found.items()))


def _in_folder(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(path for suffix in _SUFFIXES for path in folder.glob(f"*{suffix}")):
        other = found.setdefault(path.stem, path)
        if other != path:
            raise BadInput(f"{path}: two profiles are named {path.stem!r}, the other is {other}; remove one of them")
    return found


def read_profile(path: Path) -> HardwareProfile:
    """Read and validate one file; a derived profile stays as it is written.

    Raises BadInput naming file and field. A profile's name is its file's name, so no two can have one name.
    """
    path = Path(path)
    profile = parse_profile(read_yaml(path, "hardware profile"), path)
    if profile.name != path.stem:
        if other := next((other for other in path.parent.glob(f"{profile.name}.y*ml") if other.is_file()), None):
            raise BadInput(f"{path}: field 'name': two profiles are named {profile.name!r}, the other is {other}")
        raise BadInput(f"{path}: field 'name' is {profile.name!r}, expected the file's own name {path.stem!r}")
    return profile


def load_profile(name: str | Path, *, derive: bool = True) -> HardwareProfile:
    """The profile of a name, or of a path that ends in ``.yaml``.

    Args:
        name: name or path.
        derive: fill a derived profile in from this machine. The first time this takes about ten seconds (a small C
            program is compiled and run); the answer is cached.

    Raises BadInput for an unknown name (lists the known ones) or a malformed file.
    """
    if str(name).endswith(_SUFFIXES):
        profile = read_profile(Path(name))
    else:
        paths = profile_paths()
        if str(name) not in paths:
            near = difflib.get_close_matches(str(name), paths, 1)
            meant = f" (did you mean {near[0]}?)" if near else ""
            if os.path.isfile(name):  # which a name too long for a file is not, either
                meant = f" (a file with a profile is called {Path(name).name}.yaml)"
            raise BadInput(f"unknown device {str(name)!r}{meant}; known: {', '.join(paths)}")
        profile = read_profile(paths[str(name)])
    if profile.derived and derive:
        from natdeploy.devices.host import derive_host

        return derive_host(profile)
    return profile


def list_profiles() -> list[HardwareProfile]:
    """All profiles, sorted by name; derived ones as written. Raises BadInput naming the first malformed file."""
    return [read_profile(path) for path in profile_paths().values()]
