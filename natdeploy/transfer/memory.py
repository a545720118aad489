"""Work in batches where memory is short: a batch that does not fit is halved, and that is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from natdeploy.ground.errors import OutOfMemory
from natdeploy.transfer.batches import TrainingBatches

Result = TypeVar("Result")
#: Told of what is worth knowing, one line each.
Say = Callable[[str], None]
#: What PyTorch's allocator and oneDNN say on the CPU, where they have no exception of their own.
_CPU_SAYS = ("can't allocate memory", "not enough memory", "could not create a primitive", "std::bad_alloc")
#: Batch norm in training mode needs more than one.
_LEAST = 2


def nobody(what: str) -> None:
    """Whom to tell where nobody wants to know."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was no memory, on a GPU or on the CPU."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _CPU_SAYS)


def train_within_memory(
    batches: TrainingBatches, epoch: Callable[[TrainingBatches], Result], say: Say, what: str
) -> tuple[Result, TrainingBatches]:
    """Run an epoch as :func:`within_memory` does; the steps that fitted stay taken, the learning rate stays as it is.

    Returns what ``epoch`` returned, and the batches that fitted.
    """
    result, size = within_memory(batches.size, lambda size: epoch(batches.of_size(size)), say, what)
    return result, batches.of_size(size)


def within_memory(size: int, work: Callable[[int], Result], say: Say, what: str) -> tuple[Result, int]:
    """Do some work in batches; where memory runs out, do it anew with half as many images each, as often as it takes.

    Args:
        size: images a batch to begin with.
        work: given the images a batch.
        say: told of each halving.
        what: what the work is, as in ``training``.

    Returns:
        What ``work`` returned, and the images a batch that fitted. Raises OutOfMemory where not even two fit.
    """
    while True:
        try:
            return work(size), size
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            said = " ".join(f"{type(error).__name__} {error}".split())[:200]
        if size < 2 * _LEAST:
            raise OutOfMemory(
                f"out of memory while {what}, with batches of {size} images already ({said}); use a machine with more "
                "memory, or lower input resolutions (a job's field 'resolutions')"
            )
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        size //= 2
        say(f"out of memory while {what}: on with batches of {size} images")
