"""The command under ``torchrun``: one process does the job, the others help it to train."""

from __future__ import annotations

from collections.abc import Callable

from natdeploy.ground.torchrun import place


def lead_or_help(command: Callable[[], object]) -> None:
    """Run ``command`` in the process of rank 0, which alone reads, writes and prints; in the others help it.

    A command that fails leaves the helpers to torchrun, which ends them.
    """
    from natdeploy.transfer import dismiss, lend_a_hand

    if place().rank > 0:
        lend_a_hand()
        return
    try:
        command()
    except SystemExit as end:
        if end.code:
            raise
    dismiss()
