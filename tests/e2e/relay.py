"""Stands between a function and S3 and counts what passes: the only honest measure of what the function read."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from local.stack import EmbeddedAws

_CHUNK_BYTES = 65_536


class Relay:
    """A TCP relay on loopback. `received_bytes` and `sent_bytes` are seen from the client, headers included."""

    def __init__(self, target_url: str) -> None:
        target = urlsplit(target_url)
        assert target.hostname is not None
        assert target.port is not None
        self._target = target.hostname, target.port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self.received_bytes = 0
        self.sent_bytes = 0
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        """Break every connection."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        for connection in self._sockets:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for connection in (self._listener, *self._sockets):
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            self._sockets += [client, server]
            for pump in (
                threading.Thread(target=self._pump, args=(client, server, True)),
                threading.Thread(target=self._pump, args=(server, client, False)),
            ):
                self._threads.append(pump)
                pump.start()

    def _pump(self, source: socket.socket, destination: socket.socket, is_request: bool) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK_BYTES):
                with self._lock:
                    if is_request:
                        self.sent_bytes += len(data)
                    else:
                        self.received_bytes += len(data)
                destination.sendall(data)
            destination.shutdown(socket.SHUT_WR)


@contextmanager
def between(stack: EmbeddedAws, function: str) -> Iterator[Relay]:
    """Have a function, named by its logical id, reach S3 through a relay. It must be idle at the end."""
    admin = stack.admin.client("lambda")
    name = stack.access.functions[function]
    environment = admin.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    relay = Relay(stack.access.endpoint_url)
    detour = {**environment, "AWS_ENDPOINT_URL_S3": relay.url}
    admin.update_function_configuration(FunctionName=name, Environment={"Variables": detour})
    try:
        yield relay
    finally:
        admin.update_function_configuration(FunctionName=name, Environment={"Variables": environment})
        relay.close()
