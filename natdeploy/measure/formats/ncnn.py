"""ncnn's benchmark page: tables under headings in its README, or tidied as CSV."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from natdeploy.measure.formats.lines import Place, header, number, read_text, rows
from natdeploy.measure.published import PublishedTiming

_RUN = re.compile(r"^\s*([\w.-]+)\s+min =\s*(\S+)\s+max =\s*(\S+)\s+avg =\s*(\S+)\s*$")
_SETTING = re.compile(r"^(loop_count|num_threads|powersave|gpu_device|cooling_down) = (-?\d+)\s*$")
_SHOWN = ("num_threads", "powersave", "gpu_device")


def ncnn(path: Path) -> Iterator[PublishedTiming]:
    """Reference networks on boards, phones and PCs; a device is named by its heading."""
    text = read_text(path)
    return _tidied(path, text) if "latency_ms" in header(text) else _page(path, text)


def _tidied(path: Path, text: str) -> Iterator[PublishedTiming]:
    for row in rows(path, text, ("device", *_SHOWN, "model", "latency_ms", "repeat")):
        found = {name: f"{row.number(name):g}" for name in _SHOWN}
        what = {"model": row.text("model"), "repeat": row.whole("repeat")}
        yield PublishedTiming(
            *("model", what, row.positive("latency_ms"), None, row.text("device"), "ncnn", _text(found))
        )


def _page(path: Path, text: str) -> Iterator[PublishedTiming]:
    device, settings = "", dict.fromkeys(_SHOWN, "-1")
    repeats: dict[tuple[str, str], int] = {}
    any_found = False
    for index, line in enumerate(text.splitlines(), start=1):
        if line.startswith("### "):
            device, repeats = line.removeprefix("### ").strip(), {}
        elif setting := _SETTING.match(line):
            if setting[1] == "loop_count":
                settings = dict.fromkeys(_SHOWN, "-1")
            settings = settings | {setting[1]: setting[2]} if setting[1] in _SHOWN else settings
        elif " min =" in line:
            run = _RUN.match(line)
            if run is None:
                Place(path, index, line.index(" min =") + 2).refuse("expected NAME min = MS max = MS avg = MS")
            if not device:
                Place(path, index).refuse("a table without a heading that names the device")
            name = run[1].replace("-", "_")
            seen = (name, _text(settings))
            repeats[seen] = repeats.get(seen, -1) + 1
            latency_ms = number(run[4], Place(path, index, run.start(4) + 1), least=1e-6)
            any_found = True
            what = {"model": name, "repeat": repeats[seen]}
            yield PublishedTiming("model", what, latency_ms, None, device, "ncnn", _text(settings))
    if not any_found:
        Place(path, 1).refuse("no table of ncnn's benchmark; expected its benchmark/README.md or a tidied CSV")


def _text(settings: dict[str, str]) -> str:
    return ", ".join(f"{name} {settings[name]}" for name in _SHOWN)
