"""Copy figures of benchmark runs into documents, so that none is typed by hand.

    python benchmarks/quickstart.py --json > quickstart.json
    python benchmarks/collect.py quickstart.json [MORE.json ...] [--into README.md] [--check]

A document holds templates in comments, each with its filled-in text between two marks::

    <!-- figures quickstart: {test_top1:.1%} on {test_images:.0f} test images, {measured_ms:.3f} ms -->
    98.1% on 360 test images, 0.412 ms
    <!-- end figures -->

Names are keys of ``figures``; ``{environment[processor]}`` and the like reach the environment. A benchmark of several
tasks says in ``environment`` which row its result is (``latency.py kernels``: ``kernels``), and its marks have both
names (``figures latency-kernels:``). Marks of benchmarks that are not given stay as they are. ``--check`` changes
nothing and fails when a text is not what the figures say.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MARK = re.compile(
    r"(?P<open><!-- figures (?P<name>[\w-]+):(?P<template>.*?)-->\n)(?P<text>.*?)(?P<close><!-- end figures -->)",
    re.DOTALL,
)


def fill(document: str, results: Mapping[str, Mapping[str, Any]]) -> str:
    """A document with every marked place of the given benchmarks filled in.

    Raises KeyError naming a figure that a template wants and the benchmark lacks.
    """

    def replace(found: re.Match[str]) -> str:
        result = results.get(found["name"])
        if result is None:
            return found[0]
        text = found["template"].strip().format(**result["figures"], environment=result["environment"])
        return f"{found['open']}{text}\n{found['close']}"

    return MARK.sub(replace, document)


def load(paths: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Results by name. Raises ValueError for a file that is no result, a quick one, or one of two alike."""
    found: dict[str, dict[str, Any]] = {}
    for path in paths:
        result = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(result, dict) or not {"benchmark", "figures", "environment"} <= result.keys():
            raise ValueError(f"{path}: not a benchmark's result: benchmark, figures and environment are expected")
        if result["environment"].get("quick"):
            raise ValueError(f"{path}: of a --quick run, whose figures are not for documents")
        name = "-".join(filter(None, (result["benchmark"], result["environment"].get("row"))))
        if name in found:
            raise ValueError(f"{path}: a second result of {name}")
        found[name] = result
    return found


def main() -> int:
    """Fill in, or check."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("results", nargs="+", type=Path, metavar="RESULT.json")
    parser.add_argument("--into", nargs="+", type=Path, default=[Path(__file__).resolve().parents[1] / "README.md"])
    parser.add_argument("--check", action="store_true", help="change nothing; fail when a text is out of date")
    options = parser.parse_args()
    try:
        results = load(options.results)
        filled = {path: fill(path.read_text(encoding="utf-8"), results) for path in options.into}
    except (OSError, ValueError) as error:
        parser.error(str(error))
    except KeyError as error:
        parser.error(f"a template wants the figure {error}, which the results lack")
    stale = [path for path, text in filled.items() if text != path.read_text(encoding="utf-8")]
    for path in stale:
        print(f"{path}: {'out of date' if options.check else 'filled in'}", file=sys.stderr)
        if not options.check:
            path.write_text(filled[path], encoding="utf-8")
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
