"""The example client of the documents does what it says, over a bad connection too."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.e2e.figures import decode
from tests.e2e.readme import EXAMPLE_CLIENT, client_environment
from tests.e2e.service import REQUEST_SECONDS, Service
from tests.e2e.sounds import song


def run(service: Service, source: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLE_CLIENT), str(source)]
    environment = client_environment(service) | environment
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=REQUEST_SECONDS
    )


def test_it_has_at_most_115_lines() -> None:
    assert len(EXAMPLE_CLIENT.read_text().splitlines()) <= 115


def test_it_uploads_waits_and_saves(service: Service, tmp_path: Path) -> None:
    done = run(service, song(tmp_path / "Grüße.wav", seconds=2))

    assert done.returncode == 0, done.stderr
    assert "100%" in done.stdout
    assert decode(service.programs, tmp_path / "Grüße.32k.mp3", 32_000).sample_frames == 64_000


def test_it_says_why_a_file_failed(service: Service, tmp_path: Path) -> None:
    (tmp_path / "notes.wav").write_text("words, not sounds " * 50)

    done = run(service, tmp_path / "notes.wav")

    assert done.returncode == 1
    assert "unsupported-format: " in done.stderr


def test_it_resumes_a_broken_download_and_repeats_a_broken_upload_and_claim(service: Service, tmp_path: Path) -> None:
    with breaking_proxy() as (proxy, broken):
        done = run(service, song(tmp_path / "song.wav", seconds=4), http_proxy=proxy, NO_PROXY="")

    assert done.returncode == 0, done.stderr
    assert broken == {"PUT", "POST", "GET"}
    assert "broken off, resuming" in done.stdout
    assert decode(service.programs, tmp_path / "song.32k.mp3", 32_000).sample_frames == 128_000


@contextmanager
def breaking_proxy() -> Iterator[tuple[str, set[str]]]:
    """An HTTP proxy that breaks off the first upload and the first download in the middle, and loses the first answer
    to a claim: its address, and what was broken."""
    listener = socket.create_server(("127.0.0.1", 0))
    broken: set[str] = set()

    def serve(client: socket.socket) -> None:
        with client, suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                if not (received := client.recv(65536)):
                    return
                head += received
            method, address, _ = head.split(b" ", 2)
            host, _, path = address.removeprefix(b"http://").partition(b"/")
            name, port = host.decode().split(":")
            claims = method == b"POST" and b"/d/" in address
            breaks = method.decode() not in broken and (claims or b"X-Amz-Signature" in address)
            head = head.replace(address, b"/" + path, 1).replace(b"keep-alive", b"close", 1)
            with socket.create_connection((name, int(port))) as server:
                if breaks:
                    broken.add(method.decode())
                if breaks and method == b"PUT":
                    server.sendall(head)
                    client.recv(65536)
                    return
                server.sendall(head)
                if breaks and claims:
                    server.recv(8192)
                    return
                threading.Thread(target=pump, args=(client, server), daemon=True).start()
                pump(server, client, 40_000 if breaks else None)
                client.shutdown(socket.SHUT_RDWR)

    def pump(source: socket.socket, destination: socket.socket, most: int | None = None) -> None:
        with suppress(OSError):
            while data := source.recv(8192):
                destination.sendall(data)
                if most is not None and (most := most - len(data)) <= 0:
                    return

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", broken
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
