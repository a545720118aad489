"""A headless Chromium, asked over DevTools' pipe (messages of JSON, each ended by a zero byte): no further package."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

LIMIT_S = 60.0
DRAWN = "document.documentElement?.dataset.drawnMs ?? null"
OPTIONS = "--headless --no-sandbox --disable-gpu --disable-background-networking --no-first-run --hide-scrollbars"


def chromium() -> str | None:
    """The browser's program; None where there is none (Debian: apt-get install chromium)."""
    return shutil.which("chromium") or shutil.which("google-chrome")


class Tab:
    """A tab of a browser."""

    def __init__(self, out: IO[bytes], back: IO[bytes], process: subprocess.Popen[bytes]) -> None:
        self._out, self._back, self._process = out, back, process
        self._numbers = itertools.count(1)
        self._session: str | None = None
        self._session = self._attach()

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """A method of DevTools' protocol. Raises RuntimeError where it fails."""
        number = next(self._numbers)
        session = {"sessionId": self._session} if self._session else {}
        self._out.write(json.dumps({"id": number, "method": method, "params": params, **session}).encode() + b"\0")
        while True:
            answer = json.loads(b"".join(iter(self._byte, b"\0")))
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return dict(answer["result"])

    def _byte(self) -> bytes:
        if not (found := self._back.read(1)):
            raise EOFError("the browser has gone")
        return found

    def evaluate(self, expression: str) -> Any:
        """Value of a JavaScript expression."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def wait_for(self, expression: str) -> Any:
        """The expression's value once there is one. Raises TimeoutError after a minute."""
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end:
            if (value := self.evaluate(expression)) not in (None, "", False):
                return value
            time.sleep(0.1)
        raise TimeoutError(f"{expression}: nothing in {LIMIT_S:.0f} s")

    def screen(self, width: int, height: int, *, scale: float = 1.0, dark: bool = False, phone: bool = False) -> None:
        """Pretend to be a screen of that many CSS pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": phone}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        if phone:
            self.call("Emulation.setTouchEmulationEnabled", enabled=True)

    def picture(self) -> bytes:
        """What the screen shows, a PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def renderer_seconds(self) -> float:
        """Processor time of the process that draws the page."""
        import psutil

        found = 0.0
        for child in psutil.Process(self._process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if "--type=renderer" in child.cmdline():
                    times = child.cpu_times()
                    found = max(found, times.user + times.system)
        return found

    def close(self) -> None:
        """Let the browser end itself and what it has started, so that nothing is written to its profile any more."""
        with contextlib.suppress(subprocess.TimeoutExpired, EOFError, OSError):
            self._session = None
            self.call("Browser.close")
            self._process.wait(LIMIT_S)

    def _attach(self) -> str:
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end:
            targets = self.call("Target.getTargets")["targetInfos"]
            if found := [target for target in targets if target["type"] == "page"]:
                return str(self.call("Target.attachToTarget", targetId=found[0]["targetId"], flatten=True)["sessionId"])
            time.sleep(0.1)
        raise TimeoutError(f"the browser has opened no page in {LIMIT_S:.0f} s")


@contextlib.contextmanager
def open_page(address: str, profile: Path, *, width: int = 1280, height: int = 900) -> Iterator[Tab]:
    """A new browser with that page, without a cache, ended afterwards. ``profile``: a folder of its own."""
    to_browser, ours = os.pipe()
    theirs, from_browser = os.pipe()[::-1]
    options = [*OPTIONS.split(), f"--window-size={width},{height}", f"--user-data-dir={profile}"]
    command = [chromium() or "chromium", *options, "--remote-debugging-pipe", address]
    shell = ["bash", "-c", f"exec {shlex.join(command)} 3<&{to_browser} 4>&{theirs} 2>/dev/null"]
    with subprocess.Popen(shell, pass_fds=(to_browser, theirs)) as process:
        os.close(to_browser), os.close(theirs)
        try:
            with open(ours, "wb", buffering=0) as out, open(from_browser, "rb") as back:
                tab = Tab(out, back, process)
                yield tab
                tab.close()
        finally:
            process.kill()
