"""Asks a TVM RPC tracker what it has, over its own protocol, without TVM and with deadlines.

TVM's client retries a missing tracker for a minute and waits without end for a key that nobody has. So the tracker is
asked first: four bytes of greeting each way, then JSON behind its length.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from typing import Any

from natdeploy.ground.errors import DeviceNotReachable

#: Greeting of a tracker, and the codes of its protocol that are used here.
_MAGIC, _SUCCESS, _SUMMARY = 0x2F271, 0, 6
_MOST_BYTES = 16 << 20


def check_tracker(host: str, port: int, key: str, limit_s: float) -> None:
    """Raise DeviceNotReachable, with advice, unless a tracker answers in time and knows a server of that key."""
    where = f"TVM RPC tracker {host}:{port}"
    try:
        summary = _summary(host, port, limit_s)
    except TimeoutError:
        raise DeviceNotReachable(f"{where}: no answer after {limit_s:g} s; start it again") from None
    except ConnectionRefusedError:
        raise DeviceNotReachable(
            f"{where}: nothing listens there; start it: python -m tvm.exec.rpc_tracker --host {host} --port {port}"
        ) from None
    except OSError as error:
        raise DeviceNotReachable(f"{where}: {error.strerror or error}; check host, port and network") from None
    except (ValueError, KeyError, TypeError):
        raise DeviceNotReachable(f"{where}: what answers is no TVM RPC tracker; check the port") from None
    # Servers that wait for work, and those that are at work.
    known = {name.partition(":")[2] for name in summary["servers"]} | summary["free"]
    if key not in known:
        others = f"it has {', '.join(sorted(known))}" if known else "it has no servers at all"
        raise DeviceNotReachable(
            f"{where}: no server of key {key!r}, {others}; on the device: "
            f"python -m tvm.exec.rpc_server --tracker {host}:{port} --key {key}"
        )


def _summary(host: str, port: int, limit_s: float) -> dict[str, set[str]]:
    deadline = time.monotonic() + limit_s
    with socket.create_connection((host, port), timeout=limit_s) as connection:
        connection.sendall(struct.pack("<i", _MAGIC))
        if struct.unpack("<i", _receive(connection, 4, deadline))[0] != _MAGIC:
            raise ValueError("another greeting")
        question = json.dumps([_SUMMARY]).encode()
        connection.sendall(struct.pack("<i", len(question)) + question)
        size = struct.unpack("<i", _receive(connection, 4, deadline))[0]
        if not 0 < size <= _MOST_BYTES:
            raise ValueError("an answer of impossible size")
        code, said = json.loads(_receive(connection, size, deadline))
    if code != _SUCCESS:
        raise ValueError(f"code {code}")
    return {
        "servers": {str(server["key"]) for server in said["server_info"]},
        "free": {str(key) for key, queue in said["queue_info"].items() if queue["free"]},
    }


def _receive(connection: socket.socket, size: int, deadline: float) -> bytes:
    found = b""
    while len(found) < size:
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        block: Any = connection.recv(size - len(found))
        if not block:
            raise ConnectionResetError("the connection was closed")
        found += block
    return found
