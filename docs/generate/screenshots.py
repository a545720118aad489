"""The documentation's pictures of the report, taken by headless Chromium from a finished run's page.

python docs/generate/screenshots.py RUN/report.html
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
IMAGES = CHECKOUT / "docs" / "images"
#: Name to the screen's CSS pixels, pixels per CSS pixel, dark, phone.
SCREENS = {
    "report-desktop": (1100, 1110, 1.0, False, False),
    "report-dark": (1100, 1110, 0.6, True, False),
    "report-phone": (400, 1060, 1.25, False, True),
}


def main() -> None:
    """Take them all."""
    sys.path.insert(0, str(CHECKOUT))
    from PIL import Image

    from benchmarks.browser import DRAWN, open_page

    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    page = Path(sys.argv[1]).resolve()
    for name, (width, height, scale, dark, phone) in SCREENS.items():
        with (
            tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
            open_page("about:blank", Path(folder) / "profile") as tab,
        ):
            tab.screen(width, height, scale=scale, dark=dark, phone=phone)
            tab.call("Page.navigate", url=page.as_uri())
            tab.wait_for(DRAWN)
            out = IMAGES / f"{name}.png"
            out.write_bytes(tab.picture())

        colours = Image.open(out).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, 3, dither=Image.Dither.NONE)
        colours.save(out, optimize=True)  # a third of the size
        print(out, out.stat().st_size)


if __name__ == "__main__":
    main()
