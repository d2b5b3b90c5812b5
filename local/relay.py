"""Passes on to the embedded AWS, which listens on loopback, what comes in at another address: containers, mostly."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import socketserver
import struct
import threading

from local.errors import EmulatorError

BRIDGES = ("docker0", "podman0", "cni-podman0")
_SIOCGIFADDR = 0x8915
_IP_FREEBIND = 15  # an address that comes later: podman takes its bridge down when no container runs
_CHUNK_BYTES = 65536


def bridge_address() -> str:
    """The address under which containers see this machine. Raises EmulatorError where there is no bridge yet."""
    for name in BRIDGES:
        with socket.socket() as asking, contextlib.suppress(OSError):
            answer = fcntl.ioctl(asking, _SIOCGIFADDR, struct.pack("256s", name.encode()))
            return socket.inet_ntoa(answer[20:24])
    raise EmulatorError(
        f"There is no network interface {' or '.join(BRIDGES)}. Name the address under which containers find this"
        " machine: --containers ADDRESS"
    )


def own_address() -> str:
    """The address of this machine's name, which is how a container knows the address that its ports are published from.

    Raises EmulatorError where that is loopback alone, as outside of containers.
    """
    address = socket.gethostbyname(socket.gethostname())
    if address.startswith("127."):
        raise EmulatorError("This machine's name stands for loopback alone: leave out --published.")
    return address


class Relay(socketserver.ThreadingTCPServer):
    """Listens on (address, port), and connects every caller to the same port on loopback, until `stop`."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: str, port: int) -> None:
        """Raises EmulatorError where the address is not this machine's or the port is taken."""
        self.target: tuple[str, int] = ("127.0.0.1", port)
        try:
            super().__init__((address, port), _Connection)
        except OSError as error:
            raise EmulatorError(f"Containers can't be served at {address}:{port}: {error.strerror}.") from error
        threading.Thread(target=self.serve_forever, args=(0.1,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://{self.server_address[0]!s}:{self.server_address[1]}"

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        super().server_bind()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


class _Connection(socketserver.BaseRequestHandler):
    server: Relay
    request: socket.socket

    def handle(self) -> None:
        with contextlib.suppress(OSError), socket.create_connection(self.server.target) as emulator:
            back = threading.Thread(target=_pass_on, args=(emulator, self.request), daemon=True)
            back.start()
            _pass_on(self.request, emulator)
            back.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    """Copy until the source ends, then say so to the target."""
    with contextlib.suppress(OSError):
        while chunk := source.recv(_CHUNK_BYTES):
            target.sendall(chunk)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
