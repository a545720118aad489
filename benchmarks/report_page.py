"""How long a report takes to write and to load: headless Chromium draws the page of a run with 5,000 architectures.

    python benchmarks/report_page.py [--json] [--seed S] [--quick] [--architectures N]

The run is made up (``tests/report/made_run.py``); nothing of it is a measurement. ``seconds_load`` is the median of
``LOADS`` loads, each by a new browser without a cache, from the start of navigation until the script has drawn every
figure. ``--quick`` takes 500 architectures and one load. Needs Chromium (Debian: ``apt install chromium``).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

LOADS, LIMIT_S = 5, 60.0
DRAWN = "document.documentElement?.dataset.drawnMs ?? null"
OPTIONS = "--headless --no-sandbox --disable-gpu --disable-background-networking --no-first-run --window-size=1280,900"


def measure(count: int, *, seed: int, quick: bool) -> dict[str, Any]:
    """Write the report, load it. Raises SystemExit where there is no Chromium."""
    from benchmarks.environment import environment
    from natdeploy.report import write_report
    from tests.report.made_run import make_run

    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("report_page: Chromium is not installed (Debian: apt install chromium)")
    with tempfile.TemporaryDirectory(prefix="report_page.") as temporary:
        made = make_run(Path(temporary) / "run", count=count, bundles=1, seed=seed)
        started = time.perf_counter()
        page = write_report(made.run, measurements=made.holdout)
        written = time.perf_counter() - started
        size = page.stat().st_size
        loads = [load_ms(browser, page, Path(temporary) / f"profile{i}") / 1000 for i in range(1 if quick else LOADS)]
    return {
        "benchmark": "report_page",
        "figures": {
            "architectures": count,
            "seconds_write": written,
            "seconds_load": statistics.median(loads),
            "seconds_load_best": min(loads),
            "megabytes": size / 1e6,
        },
        "environment": {**environment(seed=seed, quick=quick), "data": "made up"},
    }


def load_ms(browser: str, page: Path, profile: Path) -> float:
    """Milliseconds from the start of navigation until everything is drawn, as the page itself says.

    The browser is asked over DevTools' pipe (messages of JSON ended by a zero byte), which needs no further package.
    """
    to_browser, ours = os.pipe()
    theirs, from_browser = os.pipe()[::-1]
    command = [browser, *OPTIONS.split(), "--remote-debugging-pipe", f"--user-data-dir={profile}", page.as_uri()]
    shell = ["sh", "-c", f"exec {shlex.join(command)} 3<&{to_browser} 4>&{theirs} 2>/dev/null"]
    with subprocess.Popen(shell, pass_fds=(to_browser, theirs)) as process:
        os.close(to_browser), os.close(theirs)
        try:
            with open(ours, "wb", buffering=0) as out, open(from_browser, "rb") as back:
                return _ask_until_drawn(out, back)
        finally:
            process.kill()


def _ask_until_drawn(out: IO[bytes], back: IO[bytes]) -> float:
    numbers = itertools.count(1)

    def call(method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        number = next(numbers)
        message = {"id": number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        out.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = json.loads(b"".join(iter(lambda: back.read(1), b"\0")))
            if answer.get("id") == number:
                return dict(answer.get("result", {}))

    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        targets = call("Target.getTargets").get("targetInfos", [])
        if found := [target for target in targets if target["type"] == "page"]:
            session = call("Target.attachToTarget", targetId=found[0]["targetId"], flatten=True)["sessionId"]
            while time.monotonic() < end:
                answer = call("Runtime.evaluate", session, expression=DRAWN, returnByValue=True)
                if value := answer.get("result", {}).get("value"):
                    return float(value)
                time.sleep(0.1)
    raise SystemExit(f"report_page: nothing was drawn in {LIMIT_S:.0f} s")


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
