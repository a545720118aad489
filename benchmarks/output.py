"""The command line that benchmarks share, and how they print what they found."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def parser_of(doc: str | None, *, quick: str, seed: str = "of everything random") -> argparse.ArgumentParser:
    """Options of every benchmark; ``doc`` is its docstring, whose first line describes it."""
    parser = argparse.ArgumentParser(description=(doc or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    parser.add_argument("--seed", type=int, default=0, help=seed)
    parser.add_argument("--quick", action="store_true", help=quick)
    return parser


def keep_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--keep FOLDER``."""
    parser.add_argument("--keep", type=Path, help="work in this empty folder and leave everything there")


def outcomes_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--keep FOLDER`` of outcomes that are done one by one (``benchmarks/kept.py``)."""
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep each outcome, and take what is there")


def jobs_option(parser: argparse.ArgumentParser, what: str) -> None:
    """Add ``--jobs N``: how many of ``what`` go on side by side."""
    from natdeploy.ground.processes import allowed_processors

    def at_least_one(text: str) -> int:
        if not text.isdecimal() or int(text) < 1:
            raise argparse.ArgumentTypeError(f"a whole number of at least 1, not {text!r}")
        return int(text)

    jobs, text = len(allowed_processors()), f"{what} side by side; as many as there are processors if not given"
    parser.add_argument("--jobs", type=at_least_one, default=jobs, metavar="N", help=text)


@contextmanager
def working_folder(parser: argparse.ArgumentParser, keep: Path | None) -> Iterator[Path]:
    """The folder to keep, or one that is removed afterwards; one that is not empty is a usage error."""
    if keep and keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        parser.error(f"--keep {keep}: not an empty folder")
    with tempfile.TemporaryDirectory(prefix="benchmark.") as temporary:
        folder = (keep or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        yield folder


def answer(parser: argparse.ArgumentParser, measure: Callable[[], Mapping[str, Any]], *, as_json: bool) -> None:
    """Measure and print; an expected error is one line and exit status 2."""
    from natdeploy.ground.errors import NatdeployError

    try:
        found = measure()
    except NatdeployError as error:
        parser.error(str(error))
    print_found(found, as_json=as_json)


def print_found(found: Mapping[str, Any], *, as_json: bool) -> None:
    """One JSON object on stdout, or its ``figures`` line by line."""
    if as_json:
        print(json.dumps(found, indent=1, allow_nan=False))
        return
    for name, value in found["figures"].items():
        print(f"{name:32} {value:.4g}")
