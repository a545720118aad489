"""Training where memory is short: a batch that does not fit is halved, and that is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from natdeploy.ground.errors import BadInput
from natdeploy.transfer.batches import TrainingBatches

Result = TypeVar("Result")
#: What PyTorch's allocators say on the CPU, where they have no exception of their own.
_CPU_SAYS = ("can't allocate memory", "not enough memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was no memory, on a GPU or on the CPU."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _CPU_SAYS)


def within_memory(
    batches: TrainingBatches, epoch: Callable[[TrainingBatches], Result], say: Callable[[str], None]
) -> tuple[Result, TrainingBatches]:
    """Run an epoch; where memory runs out, run it anew with batches of half the size, as often as it takes.

    The steps that fitted stay taken. The learning rate stays as it is.

    Args:
        batches: to begin with.
        epoch: trains on batches.
        say: told of each halving, one line.

    Returns:
        What ``epoch`` returned, and the batches that fitted. Raises BadInput where not even two images fit.
    """
    while True:
        try:
            return epoch(batches), batches
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        if batches.size < 4:
            raise BadInput(
                f"field 'adapt.batch_size': out of memory with batches of {batches.size} images already; use a machine "
                "with more memory, smaller resolutions (field 'resolutions') or fewer 'adapt.subnets_per_step'"
            )
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        batches = batches.of_size(batches.size // 2)
        say(f"out of memory: batches have {batches.size} images from here on")
