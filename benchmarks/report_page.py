"""How long a report takes to write and to load: headless Chromium draws the page of a run with 5,000 architectures.

    python benchmarks/report_page.py [--json] [--seed S] [--quick] [--architectures N]

The run is made up (``tests/report/made_run.py``); nothing of it is a measurement. ``seconds_load`` is the median of
``LOADS`` loads, each by a new browser without a cache, from the start of navigation until the script has drawn every
figure; ``seconds_front`` until it has drawn the first, the front. ``processor_seconds`` is what the drawing process
took of a processor meanwhile, which says more on a machine with neighbours. ``--quick`` takes 500 architectures and
one load. Needs Chromium (Debian: ``apt install chromium``).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

LOADS = 5


def measure(count: int, *, seed: int, quick: bool) -> dict[str, Any]:
    """Write the report, load it. Raises SystemExit where there is no Chromium."""
    from benchmarks.browser import chromium
    from benchmarks.environment import environment
    from natdeploy.report import write_report
    from tests.report.made_run import make_run

    if chromium() is None:
        raise SystemExit("report_page: Chromium is not installed (Debian: apt install chromium)")
    with tempfile.TemporaryDirectory(prefix="report_page.", ignore_cleanup_errors=True) as temporary:
        made = make_run(Path(temporary) / "run", count=count, bundles=1, seed=seed)
        started = time.perf_counter()
        page = write_report(made.run, measurements=made.holdout)
        written = time.perf_counter() - started
        size = page.stat().st_size
        loads = [load(page, Path(temporary) / f"profile{number}") for number in range(1 if quick else LOADS)]
    drawn, front, processor = zip(*loads)
    return {
        "benchmark": "report_page",
        "figures": {
            "architectures": count,
            "seconds_write": written,
            "seconds_load": statistics.median(drawn),
            "seconds_load_best": min(drawn),
            "seconds_front": statistics.median(front),
            "processor_seconds": statistics.median(processor),
            "megabytes": size / 1e6,
        },
        "environment": {**environment(seed=seed, quick=quick), "data": "made up"},
    }


def load(page: Path, profile: Path) -> tuple[float, float, float]:
    """Seconds until everything is drawn, and until the front is, as the page itself says; processor seconds."""
    from benchmarks.browser import DRAWN, open_page

    with open_page(page.as_uri(), profile) as tab:
        drawn = float(tab.wait_for(DRAWN))
        front = float(tab.evaluate("document.documentElement.dataset.frontMs"))
        return drawn / 1000, front / 1000, tab.renderer_seconds()


def main() -> None:
    """Command line."""
    from benchmarks.output import print_found

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="500 architectures, one load")
    parser.add_argument("--architectures", type=int, help="how many, instead of 5,000")
    chosen = parser.parse_args()
    count = chosen.architectures or (500 if chosen.quick else 5000)
    print_found(measure(count, seed=chosen.seed, quick=chosen.quick), as_json=chosen.json)


if __name__ == "__main__":
    main()
