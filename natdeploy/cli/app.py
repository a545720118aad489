"""The application: one group of verbs whose errors are one line on stderr and a documented exit status."""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from natdeploy.ground.errors import BadInput, NatdeployError
from natdeploy.ground.system import refuse_unknown_system

EXIT_CODES = """Exit status: 0 done, 2 usage or bad input, 3 device not reachable, 4 no architecture meets the budget,
5 verification failed, 6 gate failed, 130 interrupted."""


class _Interrupted(Exception):
    """Ctrl-C."""


class VerbGroup(TyperGroup):
    """Turns expected errors into one line and an exit status; anything else is a defect and keeps its traceback."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a verb and leave with its exit status."""
        given = list(sys.argv[1:] if args is None else args)
        status = 0
        try:
            refuse_unknown_system()
            status = super().main(given, prog_name, complete_var, False, windows_expand_args, **extra)
        except NatdeployError as error:
            status = refused(error, "--json" in given)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG or error.filename is None:
                raise
            status = _fail(f"{error.filename}: too long for a file's name", BadInput.__name__, 2, "--json" in given)
        except (KeyboardInterrupt, _Interrupted):
            status = _fail("interrupted; start the same command again to continue", "Interrupted", 130, False)
        except Exception as error:
            usage = _usage(error)
            if usage is None:
                raise
            status = usage if isinstance(usage, int) else _fail(usage, "BadUsage", 2, "--json" in given)
        if not standalone_mode:
            return status
        sys.exit(status if isinstance(status, int) else 0)

    def invoke(self, ctx: Any) -> Any:
        """Run the verb; Typer would end an interrupted one without a word."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise _Interrupted from error


def _usage(error: Exception) -> str | int | None:
    """Text of a usage error (wrong option, missing argument), a status where help was shown; None for anything else."""
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(error.format_message(), err=True)  # type: ignore[attr-defined]
        return 2
    if not hasattr(error, "format_message"):
        return None
    context = getattr(error, "ctx", None)
    hint = f" (see {context.command_path} --help)" if context is not None else ""
    return " ".join(error.format_message().split()).rstrip(".") + hint


def refused(error: NatdeployError, as_json: bool) -> int:
    """Say an expected error as every verb does. Returns its exit status."""
    return _fail(str(error), type(error).__name__, error.exit_code, as_json)


def _fail(message: str, kind: str, exit_code: int, as_json: bool) -> int:
    """Say what went wrong in one line on stderr, and as JSON on stdout where that was asked for."""
    typer.echo(f"natdeploy: {' '.join(message.split())}", err=True)
    if as_json:
        typer.echo(json.dumps({"error": {"kind": kind, "message": message, "exit_code": exit_code}}))
    return exit_code


app = typer.Typer(
    name="natdeploy",
    cls=VerbGroup,
    help="From images, a device and a latency budget to compiled, verified models that fit.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
