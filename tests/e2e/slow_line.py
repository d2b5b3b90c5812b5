"""A line between a client and the embedded AWS: its speed for each connection, its latency, and cuts."""

from __future__ import annotations

import queue
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_CHUNK_BYTES = 16_384
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class SlowLine:
    """A TCP relay on loopback. Bytes are counted as they pass, headers and those of cut connections included.

    At each of ``cuts``, in bytes sent by clients, every connection is reset, and for ``cut_seconds`` none is taken.
    """

    target_url: str
    bytes_per_second: float | None = None
    latency_seconds: float = 0.0
    cuts: Sequence[int] = ()
    cut_seconds: float = 3.0
    sent_bytes: int = 0
    received_bytes: int = 0
    times_cut: int = 0
    most_at_once: int = 0
    port: int = field(init=False, default=0)
    _open: set[socket.socket] = field(init=False, default_factory=set)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)
    _down_until: float = field(init=False, default=0.0)

    @contextmanager
    def up(self) -> Iterator[SlowLine]:
        listener = socket.create_server(("127.0.0.1", 0))
        # What waits in buffers has not passed yet: few bytes, so that what clients took for sent is what was counted.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * _CHUNK_BYTES)
        self.port = listener.getsockname()[1]
        accepting = threading.Thread(target=self._accept, args=(listener,), daemon=True)
        accepting.start()
        try:
            yield self
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            accepting.join()
            self._reset_all()

    def cut(self) -> None:
        """Reset every connection, and take none for a while."""
        self.times_cut += 1
        self._down_until = time.monotonic() + self.cut_seconds
        self._reset_all()

    def _reset_all(self) -> None:
        with self._lock:
            for end in self._open:
                with suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
                    end.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                if time.monotonic() < self._down_until:
                    client.close()
                    continue
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        target = urlsplit(self.target_url)
        with client, suppress(OSError), socket.create_connection((target.hostname, target.port)) as server:
            with self._lock:
                self._open |= {client, server}
                self.most_at_once = max(self.most_at_once, len(self._open) // 2)
            threads = [
                threading.Thread(target=self._pass, args=ends, daemon=True)
                for ends in ((client, server, True), (server, client, False))
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            with self._lock:
                self._open -= {client, server}

    def _pass(self, source: socket.socket, destination: socket.socket, is_request: bool) -> None:
        under_way: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        arriving = threading.Thread(target=self._arrive, args=(under_way, destination), daemon=True)
        arriving.start()
        free_at = 0.0
        with suppress(OSError):
            while data := source.recv(_CHUNK_BYTES):
                self._count(len(data), is_request)
                if self.bytes_per_second:
                    free_at = max(free_at, time.monotonic()) + len(data) / self.bytes_per_second
                    time.sleep(max(0.0, free_at - time.monotonic()))
                under_way.put((time.monotonic() + self.latency_seconds, data))
        under_way.put((0.0, b""))
        arriving.join()

    def _arrive(self, under_way: queue.SimpleQueue[tuple[float, bytes]], destination: socket.socket) -> None:
        with suppress(OSError):
            while (arrival := under_way.get())[1]:
                time.sleep(max(0.0, arrival[0] - time.monotonic()))
                destination.sendall(arrival[1])
            destination.shutdown(socket.SHUT_WR)

    def _count(self, length: int, is_request: bool) -> None:
        with self._lock:
            self.sent_bytes += length if is_request else 0
            self.received_bytes += 0 if is_request else length
            is_due = self.times_cut < len(self.cuts) and self.sent_bytes >= self.cuts[self.times_cut]
        if is_due:
            self.cut()
