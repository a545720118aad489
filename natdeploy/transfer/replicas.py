"""Parts of a batch trained side by side: replicas of a supernet that share its weights, a thread each.

Threads inside an operation wait for each other some thousand times a step; replicas meet once. Each replica's batch
norm sees its own part of the batch (ghost batches, Hoffer et al. 2017), so the result depends on the number of parts
and not on the number of cores.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

import torch
from torch import Tensor

from natdeploy.ground.processes import allowed_processors
from natdeploy.supernets import MobileNetV3Supernet
from natdeploy.transfer.compute import keep_freed_memory

#: Trains one replica on its part of a batch: ``(replica, images, labels, share of the batch) -> loss``.
PartOfStep = Callable[[MobileNetV3Supernet, Tensor, Tensor, float], float]
#: Images, labels, share of the batch.
PartOfBatch = tuple[Tensor, Tensor, float]


class Replicas:
    """A supernet and ``parts - 1`` replicas; a context manager, since it holds threads and torch's thread count.

    Args:
        supernet: the first replica, whose weights all share and whose gradients the step leaves.
        parts: of a batch; a batch of fewer than two images a part is split less.
    """

    def __init__(self, supernet: MobileNetV3Supernet, parts: int) -> None:
        self.supernet = supernet
        self._all = [supernet]
        for _ in range(parts - 1):
            replica = copy.deepcopy(supernet)
            for own, shared in zip(replica.parameters(), supernet.parameters()):
                own.data = shared.data
            self._all.append(replica)
        self._parameters = [list(replica.parameters()) for replica in self._all]  # walking the modules takes long
        self.parameters = self._parameters[0]
        on_cpu = next(supernet.parameters()).device.type == "cpu"
        self._workers = min(parts, len(allowed_processors())) if on_cpu else 1
        self._pool: ThreadPoolExecutor | None = None
        self._threads_before = torch.get_num_threads()

    def __enter__(self) -> Replicas:
        keep_freed_memory()
        if self._workers > 1:
            torch.set_num_threads(max(1, self._threads_before // self._workers))
            self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="replica")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
            torch.set_num_threads(self._threads_before)

    def step(self, part: PartOfStep, images: Tensor, labels: Tensor) -> float:
        """Run ``part`` on every part of a batch; leaves the sum of the gradients on the supernet.

        Returns the sum of what the parts return.
        """
        return self.run(part, cut_batch(images, labels, len(self._all)))

    def run(self, part: PartOfStep, parts: Sequence[PartOfBatch]) -> float:
        """As :meth:`step`, on a batch that is cut already, into no more parts than there are replicas."""
        jobs = [(replica, *some) for replica, some in zip(self._all, parts, strict=False)]
        for own in self._parameters:
            for parameter in own:
                parameter.grad = None
        losses = list(self._pool.map(lambda job: part(*job), jobs) if self._pool else (part(*job) for job in jobs))
        for others in self._parameters[1 : len(jobs)]:
            for total, other in zip(self._parameters[0], others):
                if total.grad is None:
                    total.grad = other.grad
                elif other.grad is not None:
                    total.grad += other.grad
        return sum(losses)

    def clip_gradients(self, norm: float) -> float:
        """Scale the summed gradients down to a norm where it is larger; returns what it was."""
        return float(torch.nn.utils.clip_grad_norm_(self._parameters[0], norm))


def cut_batch(images: Tensor, labels: Tensor, parts: int) -> list[PartOfBatch]:
    """A batch in ``parts``, or in fewer where one would have less than two images."""
    parts = max(1, min(parts, len(labels) // 2))
    cut = zip(images.tensor_split(parts), labels.tensor_split(parts))
    return [(some, those, len(those) / len(labels)) for some, those in cut]
