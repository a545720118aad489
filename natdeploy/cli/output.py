"""How verbs answer: progress on stderr, then a table or one JSON object on stdout."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer

from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import readable_disk_errors

if TYPE_CHECKING:
    from natdeploy.verbs.result import Progress, Result

    AnyResult = TypeVar("AnyResult", bound=Result)

#: Seconds between two lines of progress where stderr is no terminal.
_LINE_EVERY_S = 10.0


def answer(as_json: bool, work: Callable[[Progress], AnyResult], show: Callable[[AnyResult], None]) -> AnyResult:
    """Do the work with progress on stderr, then print its result as JSON or by ``show``."""
    with _stdout_to_stderr() if as_json else contextlib.nullcontext(), progress_on_stderr() as progress:
        result = work(progress)
    with _printing():
        if as_json:
            typer.echo(json.dumps(result.to_json(), indent=1, allow_nan=False, ensure_ascii=False))
        else:
            show(result)
    return result


@contextlib.contextmanager
def _printing() -> Iterator[None]:
    """A full disk behind stdout is bad input, and what is left to print is dropped: Python would try it again."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may be any bytes; stderr does so already
    try:
        with readable_disk_errors(Path("standard output")):
            yield
            sys.stdout.flush()
    except BadInput:
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


@contextlib.contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """Keep what a library prints out of the JSON."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


@contextlib.contextmanager
def progress_on_stderr() -> Iterator[Progress]:
    """A live bar on a terminal, a line now and then elsewhere."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=1.0)
        yield lambda stage, fraction: bar.update(task, description=escape(stage), completed=fraction)


def _lines() -> Progress:
    started = time.monotonic()
    last_stage, last_time = "", -_LINE_EVERY_S

    def say(stage: str, fraction: float) -> None:
        nonlocal last_stage, last_time
        now = time.monotonic()
        name = re.split(r"[\d(:,]", stage)[0]
        if name != last_stage or now - last_time >= _LINE_EVERY_S:
            last_stage, last_time = name, now
            typer.echo(f"[{now - started:5.0f} s] {stage} ({fraction:.0%})", err=True)

    return say
