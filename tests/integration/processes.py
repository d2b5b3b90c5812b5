"""Who is there, and who calls."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def children() -> set[int]:
    """The processes that this one has started, ended ones that nobody has waited for included."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just gone
            if int(stat.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                found.add(int(stat.parent.name))
    return found


@contextmanager
def listening() -> Iterator[tuple[int, list[str]]]:
    """A port where nobody should ever call, and who did."""
    callers: list[str] = []

    def listen(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, address = server.accept()
                callers.append(str(address))
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=listen, args=(server,))
        thread.start()
        try:
            yield server.getsockname()[1], callers
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
