"""The rooms' order: who may import whom, and which heavy libraries belong to which room."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "natdeploy"

#: Rooms by layer, lowest first; a room imports from lower layers only, never from its neighbours.
LAYERS = (
    ("ground",),
    ("spaces",),
    ("runs",),
    ("supernets", "data", "devices"),
    ("compiler",),
    ("measure",),
    ("transfer", "latency"),
    ("search", "deploy"),
    ("report",),
    ("verbs",),
    ("cli",),
)
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}

#: The rooms that may import a heavy library at all; everything else stays free of it.
HEAVY = {
    "torch": {"supernets", "transfer", "search", "deploy"},
    "tvm": {"compiler", "devices"},
    "tvm_ffi": {"compiler", "devices"},
    "onnx": {"compiler", "deploy"},
    "onnxruntime": {"compiler", "devices", "deploy"},
    "pymoo": {"search"},
    "xgboost": {"latency", "search"},
    "sklearn": {"data", "latency", "search"},
    "scipy": {"data", "latency", "search"},
    "plotly": {"report"},
    "datasets": {"data"},
    "PIL": {"data"},
    "safetensors": {"supernets", "transfer", "deploy"},
    "ray": {"ground"},
    "mlflow": {"deploy", "report"},
    "typer": {"cli"},
    "rich": {"cli", "report"},
}

#: Loaders that run code from a file.
FORBIDDEN = {"pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "torchvision"}

#: What an ``__init__`` may hold: a docstring, imports and ``__all__``.
INIT_STATEMENTS = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.Expr)

#: All but what is only copied into bundles, for Pythons without natdeploy.
FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if "consumers" not in path.parts]


def room_of(path: Path) -> str | None:
    """The room a file stands in; None for the package's own files."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else None


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything a file imports, anywhere in it."""
    package = ("natdeploy", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            yield node.lineno, module
            if module == "natdeploy":
                yield from ((node.lineno, f"natdeploy.{alias.name}") for alias in node.names)


def faults(check: object) -> list[str]:
    """``file:line name`` of every import for which ``check(room, name)`` is true."""
    return [
        f"{path.relative_to(PACKAGE.parent)}:{line} imports {name}"
        for path in FILES
        for line, name in imported(path)
        if check(room_of(path), name)  # type: ignore[operator]
    ]


def against_the_layers(room: str | None, name: str) -> bool:
    parts = name.split(".")
    if parts[0] != "natdeploy" or len(parts) < 2 or room is None:
        return False
    other = parts[1]
    return other in LEVEL and other != room and LEVEL[other] >= LEVEL[room]


def test_every_room_has_a_layer() -> None:
    assert {room for path in FILES if (room := room_of(path))} <= set(LEVEL)


def test_rooms_import_from_lower_layers_only() -> None:
    assert faults(against_the_layers) == []


def test_the_command_line_holds_no_logic() -> None:
    allowed = {"cli", "verbs", "ground", "report", "runs"}
    assert (
        faults(lambda room, name: room == "cli" and name.startswith("natdeploy.") and name.split(".")[1] not in allowed)
        == []
    )


def test_heavy_libraries_stay_in_their_rooms() -> None:
    def misplaced(room: str | None, name: str) -> bool:
        return room not in HEAVY.get(name.split(".")[0], {room})

    assert faults(misplaced) == []


def test_nothing_loads_code_from_files() -> None:
    found = faults(lambda room, name: name.split(".")[0] in FORBIDDEN)
    # CIFAR's authors publish pickles; the one reader knows nothing but arrays
    assert [fault for fault in found if not fault.startswith("natdeploy/data/pickles.py:")] == []


@pytest.mark.parametrize("name", ["natdeploy.verbs", "natdeploy.cli.main", "natdeploy.runs", "natdeploy.spaces"])
def test_light_modules_import_nothing_heavy(name: str) -> None:
    import subprocess

    heavy = sorted(set(HEAVY) - {"typer", "rich", "PIL"})
    code = f"import sys, {name}; print([m for m in {heavy!r} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, check=True)
    assert found.stdout.strip() == "[]"


def test_files_hold_one_idea_each() -> None:
    long = {str(path.relative_to(PACKAGE)): n for path in FILES if (n := len(path.read_text().splitlines())) > 350}
    assert long == {}
    assert [str(path) for path in FILES if "util" in path.stem or "helper" in path.stem or path.stem == "misc"] == []


def test_init_files_only_export() -> None:
    for path in FILES:
        if path.name == "__init__.py" and path.parent != PACKAGE:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            assert ast.get_docstring(tree), path
            assert [ast.dump(node)[:80] for node in tree.body if not isinstance(node, INIT_STATEMENTS)] == [], path


def test_the_rules_catch_what_they_are_for() -> None:
    assert against_the_layers("spaces", "natdeploy.search.loop")
    assert against_the_layers("search", "natdeploy.deploy")
    assert against_the_layers("ground", "natdeploy.spaces")
    assert not against_the_layers("cli", "natdeploy.verbs")
    assert not against_the_layers("search", "natdeploy.search.archive")
