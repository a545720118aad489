"""CI installs what tests would otherwise skip themselves for: a test that never runs there proves nothing there."""

from __future__ import annotations

import re
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
#: The reason of a skip, with the packages that it asks for.
REASON = re.compile(r'(?:reason=|pytest\.skip\()\s*f?"[^"]*?apt(?:-get)? install ([a-z0-9 .+-]+)')


def installed() -> set[str]:
    """Packages of Debian that .ci/run installs."""
    script = (CHECKOUT / ".ci" / "run").read_text(encoding="utf-8")
    (listed,) = re.findall(r"for packages in (.*?); do", script, re.DOTALL)
    return set(re.sub(r'["\\]', " ", listed).split())


def test_what_skipped_tests_ask_for_is_installed() -> None:
    asked = {
        (path.name, package)
        for path in (CHECKOUT / "tests").rglob("*.py")
        for reason in REASON.findall(path.read_text(encoding="utf-8"))
        for package in reason.split()
    }
    assert {package for _, package in asked} >= {"chromium", "cmake", "openssh-server", "qemu-user-static"}
    assert not {(name, package) for name, package in asked if package not in installed()}
