"""Data-parallel training under ``torchrun``: rank 0 does the job, the others lend it their processors.

The leader hands each helper some parts of a batch, and gradients come back as a sum (synchronous data parallelism, as
in torch's DDP). Helpers hold no images, no optimiser and no random state, and write no files: they get the weights with
every step. Parts are those of :mod:`natdeploy.transfer.replicas`, so that a step's result depends on the number of
parts and not on that of the processes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import timedelta
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist

from natdeploy.ground.errors import BadInput
from natdeploy.ground.torchrun import place
from natdeploy.spaces.space import get_space
from natdeploy.supernets import MobileNetV3Supernet, build_supernet
from natdeploy.transfer.compute import compute_device, placed
from natdeploy.transfer.lesson import Lesson
from natdeploy.transfer.memory import is_out_of_memory
from natdeploy.transfer.replicas import PartOfBatch, PartOfStep, Replicas, cut_batch

#: The leader may profile a device or evaluate for hours before it trains.
_PATIENCE = timedelta(days=7)
_SUPERNET, _STEP, _END = "supernet", "step", "end"


class Crew(Replicas):
    """The leader's side: replicas of which some are other processes'.

    Args:
        supernet: whose weights are trained; the helpers build one like it.
        parts: of a batch, at least one for each process.
    """

    def __init__(self, supernet: MobileNetV3Supernet, parts: int) -> None:
        self._size = place().size
        if self._size > parts:
            raise BadInput(
                f"{self._size} processes share {parts} parts of a batch: set parts to {self._size} or more "
                "(--set adapt.parts for a search, --parts for pretrain), or start fewer processes"
            )
        super().__init__(supernet, len(split(parts, self._size)[0]))
        self._total = parts

    def __enter__(self) -> Crew:
        super().__enter__()
        _join()
        space, classes = self.supernet.space, self.supernet.num_classes
        counts = [len(some) for some in split(self._total, self._size)]
        _tell({"do": _SUPERNET, "space": space.name, "at": space.resolutions, "classes": classes, "parts": counts})
        return self

    def step(self, part: PartOfStep, images: Tensor, labels: Tensor) -> float:
        """As :meth:`Replicas.step`, for a lesson.

        Raises MemoryError where a helper's memory did not suffice; the helpers are ready for the next step then.
        """
        if not isinstance(part, Lesson):
            raise TypeError(f"other processes take lessons only, not {type(part).__name__}")
        cut = cut_batch(images, labels, self._total)
        shares = [[cut[index] for index in some] for some in split(len(cut), self._size)]
        self._hand_out(part, shares[1:])
        try:
            loss = self.run(part, shares[0])
        except Exception:
            self._collect(0.0)  # the helpers are waiting
            raise
        return self._collect(loss)

    def _hand_out(self, lesson: Lesson, shares: list[list[PartOfBatch]]) -> None:
        sizes = [[(list(images.shape), share) for images, _, share in some] for some in shares]
        _tell({"do": _STEP, "lesson": lesson.to_json(), "parts": sizes, "taught": lesson.teacher is not None})
        dist.broadcast(_flat(self.parameters), 0)
        for rank, some in enumerate(shares, start=1):
            for images, labels, _ in some:
                dist.send(images.contiguous(), rank)
                dist.send(labels.contiguous(), rank)
                if lesson.teacher is not None:
                    dist.send(lesson.teacher(images).contiguous(), rank)

    def _collect(self, loss: float) -> float:
        """Add everybody's gradients to the leader's own; the sum of losses."""
        gathered = _gradients(self.parameters, loss, failed=False)
        dist.reduce(gathered, 0)
        if gathered[-1]:
            raise MemoryError(f"out of memory in {int(gathered[-1])} of {self._size} processes")
        for parameter, total in zip(self.parameters, _unflat(gathered, self.parameters)):
            if parameter.grad is not None:  # the same ones everywhere: everybody runs the same subnets
                parameter.grad = total.clone()
        return float(gathered[-2])


def replicas(supernet: MobileNetV3Supernet, parts: int) -> Replicas:
    """Replicas in this process, and in the others where there are some."""
    return Crew(supernet, parts) if place().size > 1 else Replicas(supernet, parts)


def lend_a_hand() -> None:
    """A helper's side: do what the leader says, until it ends."""
    _join()
    with ExitStack() as stack:
        own: Replicas | None = None
        while (said := _heard())["do"] != _END:
            if said["do"] == _SUPERNET:
                stack.close()
                space = get_space(said["space"]).at_resolutions(said["at"])
                supernet = placed(build_supernet(space, said["classes"]), compute_device())
                own = stack.enter_context(Replicas(supernet, max(1, said["parts"][place().rank])))
            elif own is not None:
                _step(own, said)
    dist.destroy_process_group()


def dismiss() -> None:
    """End the helpers' work. Does nothing where there are none."""
    if place().size > 1:
        _join()
        _tell({"do": _END})
        dist.destroy_process_group()


def _step(own: Replicas, said: Any) -> None:
    device = own.parameters[0].device
    weights = _flat(own.parameters)
    dist.broadcast(weights, 0)
    with torch.no_grad():
        for parameter, value in zip(own.parameters, _unflat(weights, own.parameters)):
            parameter.copy_(value)
            parameter.grad = None
    parts: list[PartOfBatch] = []
    taught: dict[int, Tensor] = {}
    for shape, share in said["parts"][place().rank - 1]:
        images = torch.empty(shape, device=device)
        labels = torch.empty(shape[0], dtype=torch.int64, device=device)
        dist.recv(images, 0)
        dist.recv(labels, 0)
        images = images.contiguous(memory_format=torch.channels_last)
        if said["taught"]:
            taught[images.data_ptr()] = torch.empty(shape[0], own.supernet.num_classes, device=device)
            dist.recv(taught[images.data_ptr()], 0)
        parts.append((images, labels, share))
    teacher = (lambda images: taught[images.data_ptr()]) if said["taught"] else None
    loss, failed = 0.0, False
    try:
        loss = own.run(Lesson.from_json(said["lesson"], teacher), parts)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        failed = True
    dist.reduce(_gradients(own.parameters, loss, failed=failed), 0)


def _join() -> None:
    if not dist.is_initialized():
        device = compute_device()
        if device.type == "cuda":
            torch.cuda.set_device(device)
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])


def _unflat(values: Tensor, like: Sequence[Tensor]) -> Iterator[Tensor]:
    start = 0
    for tensor in like:
        yield values[start : start + tensor.numel()].view_as(tensor)
        start += tensor.numel()


def _gradients(parameters: Sequence[Tensor], loss: float, *, failed: bool) -> Tensor:
    """All gradients, zeros where there are none; behind them the loss, and 1 where memory did not suffice."""
    found = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    return torch.cat([_flat(found), torch.tensor([loss, float(failed)], device=parameters[0].device)])


def _tell(what: dict[str, Any]) -> None:
    """To everybody, as JSON."""
    text = torch.frombuffer(bytearray(json.dumps(what).encode()), dtype=torch.uint8)
    dist.broadcast(torch.tensor([len(text)]), 0)
    dist.broadcast(text, 0)


def _heard() -> Any:
    length = torch.zeros(1, dtype=torch.int64)
    dist.broadcast(length, 0)
    text = torch.empty(int(length), dtype=torch.uint8)
    dist.broadcast(text, 0)
    return json.loads(text.numpy().tobytes())


def split(count: int, among: int) -> list[range]:
    """Numbers of ``count`` things in runs as even as can be, the longer ones first."""
    least, more = divmod(count, among)
    starts = [index * least + min(index, more) for index in range(among + 1)]
    return [range(start, end) for start, end in pairwise(starts)]
