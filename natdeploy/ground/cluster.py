"""Functions on the machines of a Ray cluster: work that can be done anywhere, in any order.

Ray starts a task again, elsewhere if need be, when the process or the machine that had it is gone. natdeploy has to be
installed on every machine, in one version.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from natdeploy.ground.errors import BadInput, NatdeployError
from natdeploy.ground.processes import allowed_processors

#: A cluster on this machine, made for the purpose.
LOCAL = "local"
#: How often a task is given to another worker after the one that had it died.
_WORKERS_LOST = 5

Result = TypeVar("Result")


class Task(Generic[Result]):
    """A call under way."""

    def __init__(self, reference: Any, name: str) -> None:
        self._reference, self._name = reference, name

    def result(self) -> Result:
        """Wait for it. Raises natdeploy's own errors as they were raised there, RuntimeError for any other one."""
        import ray

        try:
            found: Result = ray.get(self._reference)
            return found
        except ray.exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, NatdeployError):
                raise type(cause)(*cause.args) from None
            raise RuntimeError(f"{self._name}: {type(cause).__name__}: {_line(cause)}") from None
        except ray.exceptions.RayError as error:
            raise RuntimeError(f"{self._name}: {_line(error)}") from None


class Cluster:
    """A connection to a Ray cluster; see :func:`connected`.

    Args:
        gpus: of each task: one where the cluster has any.
    """

    def __init__(self, gpus: int) -> None:
        self._gpus = gpus

    def share(self, value: Any) -> Any:
        """Put a value where all tasks can read it; give the answer to :meth:`submit` in its place."""
        import ray

        return ray.put(value)

    def submit(self, function: Callable[..., Result], *arguments: Any) -> Task[Result]:
        """Call a module-level function of natdeploy on some machine, with one processor."""
        import ray

        options = {"num_cpus": 1, "num_gpus": self._gpus, "max_retries": _WORKERS_LOST}
        return Task(ray.remote(function).options(**options).remote(*arguments), function.__name__)


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[Cluster | None]:
    """A cluster for as long as the block lasts; None for no address.

    Args:
        address: of a cluster, as ``ray start --head`` prints it; ``auto`` for the one of this machine; ``local`` for
            one of its own on this machine's processors.

    Raises BadInput where Ray is not installed or no cluster answers.
    """
    if address is None:
        yield None
        return
    ray = _ray()
    own: dict[str, Any] = {}
    if address == LOCAL:
        own = {"num_cpus": len(allowed_processors()), "include_dashboard": False}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except (ConnectionError, ValueError, RuntimeError, OSError, AssertionError) as error:
        raise BadInput(
            f"--ray {address}: no cluster answers ({_line(error)}); expected local, auto or HOST:PORT"
        ) from None
    try:
        yield Cluster(gpus=1 if ray.cluster_resources().get("GPU") else 0)
    finally:
        ray.shutdown()


def check_cluster(address: str | None) -> None:
    """Raise what :func:`connected` would, before other work has taken its time. Starts no cluster."""
    if address == LOCAL:
        _ray()
        return
    with connected(address):
        pass


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise BadInput("--ray: Ray is not installed; pip install 'natdeploy[ray]'") from None
    return ray


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
