"""Stands between a function and S3: counts what passes, the only honest measure of what the function read, and holds it
up where a test has to act in the middle of the work."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from local.stack import EmbeddedAws

HELD_FROM_BYTES = 512 * 1024
"""Of a connection's answers: more than a function reads to see what a file is."""
_CHUNK_BYTES = 65_536


@dataclass(slots=True)
class Traffic:
    """Bytes as the client sees them, headers included."""

    received_bytes: int = 0
    sent_bytes: int = 0


class Relay:
    """A TCP relay on loopback."""

    def __init__(self, target_url: str) -> None:
        target = urlsplit(target_url)
        assert target.hostname is not None
        assert target.port is not None
        self._target = target.hostname, target.port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._traffic = Traffic()
        self._flows = threading.Event()
        self._flows.set()
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    @contextmanager
    def counted(self) -> Iterator[Traffic]:
        """What passes in here. Whose work this is must be over at the end."""
        with self._lock:
            before = Traffic(self._traffic.received_bytes, self._traffic.sent_bytes)
        passed = Traffic()
        yield passed
        with self._lock:
            passed.received_bytes = self._traffic.received_bytes - before.received_bytes
            passed.sent_bytes = self._traffic.sent_bytes - before.sent_bytes

    @contextmanager
    def held(self) -> Iterator[None]:
        """In here nobody gets a large object to its end; small answers pass."""
        self._flows.clear()
        try:
            yield
        finally:
            self._flows.set()

    def close(self) -> None:
        """Break every connection."""
        self._flows.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection(self._target) as server:
            ends = {client, server}
            with self._lock:
                self._open |= ends
            answers = threading.Thread(target=self._pass_answers, args=(server, client), daemon=True)
            answers.start()
            self._pass_requests(client, server)
            answers.join()
            with self._lock:
                self._open -= ends

    def _pass_requests(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(_CHUNK_BYTES):
                with self._lock:
                    self._traffic.sent_bytes += len(data)
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _pass_answers(self, server: socket.socket, client: socket.socket) -> None:
        while_held = 0
        with suppress(OSError):
            while data := server.recv(_CHUNK_BYTES):
                while_held = 0 if self._flows.is_set() else while_held + len(data)
                if while_held > HELD_FROM_BYTES:
                    self._flows.wait()
                with self._lock:
                    self._traffic.received_bytes += len(data)
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)


@contextmanager
def before_s3(stack: EmbeddedAws, function: str) -> Iterator[Relay]:
    """Have a function, named by its logical id, reach S3 through a relay. It must not be at work yet."""
    admin = stack.admin.client("lambda")
    name = stack.access.functions[function]
    environment = admin.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    relay = Relay(stack.access.endpoint_url)
    try:
        detour = {**environment, "AWS_ENDPOINT_URL_S3": relay.url}
        admin.update_function_configuration(FunctionName=name, Environment={"Variables": detour})
        yield relay
    finally:
        relay.close()
