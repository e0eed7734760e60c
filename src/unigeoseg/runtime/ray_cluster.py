"""A Ray cluster: the one that RAY_ADDRESS names, or one of this machine's own."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from unigeoseg.errors import MissingExtraError, OptionError

_ADDRESS = "RAY_ADDRESS"
_LOCAL = ("", "local")  # addresses that mean a cluster of this machine's own
_WAIT_S = 5.0
_LARGEST_PORT = 65535


def check_cluster() -> None:
    """Check that Ray is installed and that something listens where RAY_ADDRESS points.

    Ray itself waits for minutes. An address that only Ray can resolve ("auto", or of another
    scheme than "ray") is left to it.

    Raises:
        MissingExtraError: If Ray is not installed.
        OptionError: If the address cannot be read, or nothing listens there.
    """
    if find_spec("ray") is None:
        raise MissingExtraError("the engine ray", "ray")
    address = os.environ.get(_ADDRESS, "")
    scheme, _, path = address.rpartition("://")
    if address in (*_LOCAL, "auto") or scheme not in ("", "ray"):
        return
    host, _, port = path.split("/")[0].rpartition(":")
    if not host or not port.isdecimal() or int(port) > _LARGEST_PORT:
        raise OptionError(
            f"{_ADDRESS} is {address!r}, expected HOST:PORT, such as 10.0.0.1:6379; correct it, or "
            "unset it for a cluster of this machine's own"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _WAIT_S).close()
    except OSError as error:
        raise _unreachable(address, error) from error


@contextmanager
def join_cluster(workers: int) -> Iterator[Any]:
    """The Ray cluster, joined or started; left at the end.

    A session of Ray that the caller has started is used and left open. Errors of a task are raised
    as they are.

    Args:
        workers: Processes of a cluster of this machine's own, and told when one died.

    Yields:
        The module `ray`.

    Raises:
        MissingExtraError: If Ray is not installed.
        OptionError: If there is no cluster at RAY_ADDRESS, a worker died, or Ray broke off.
    """
    check_cluster()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    joins = not ray.is_initialized()
    if joins:
        _join(ray, workers)
    errors = ray.exceptions
    failures = (
        *(errors.WorkerCrashedError, errors.OutOfMemoryError, errors.RayActorError),
        *(errors.NodeDiedError, errors.LocalRayletDiedError, errors.ObjectLostError),
    )
    try:
        yield ray
    except errors.RayTaskError as error:
        raise error.cause from None
    except failures as error:
        raise worker_died(workers) from error
    except errors.RayError as error:
        raise OptionError(
            f"Ray broke off: {_first_line(error)}; look at the cluster and start again: what is "
            "done stays"
        ) from error
    finally:
        if joins:
            ray.shutdown()


def worker_died(workers: int) -> OptionError:
    """The error of a run in which one of some workers died."""
    return OptionError(
        f"one of {workers} workers died, most often for want of memory; start again with fewer: "
        "what is done stays"
    )


def _join(ray: Any, workers: int) -> None:  # noqa: ANN401 - the module of an optional library
    address = os.environ.get(_ADDRESS, "")
    resources: dict[str, Any] = {"num_cpus": workers, "include_dashboard": False}
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        ray.init(address=address or None, **quiet, **(resources if address in _LOCAL else {}))
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise _unreachable(address or "this machine", error) from error


def _unreachable(address: str, error: Exception) -> OptionError:
    return OptionError(
        f"no Ray cluster at {address}: {_first_line(error)}; start it, correct {_ADDRESS}, or "
        "unset it for a cluster of this machine's own"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
