"""The emulator process: ministack on loopback, started, watched and stopped.

It runs under the guardian, so nothing of it outlives this process. All its state is in memory or in one work folder.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from importlib import metadata
from pathlib import Path
from typing import Self

from local.errors import EmulatorError

HOST = "127.0.0.1"
REGION = "us-east-1"  # the one region where boto3 presigns SigV2 when nobody asks for SigV4: a good place for tests
START_SECONDS = 60.0
STOP_SECONDS = 10.0


class Emulator:
    """One ministack process. `start` returns when it answers; `stop` returns when nothing of it is left."""

    def __init__(self, log_folder: Path, *, port: int | None = None, bin_folders: tuple[Path, ...] = ()) -> None:
        self.log_path = log_folder / "emulator.log"
        self.port = port or free_port()
        self.bin_folders = bin_folders
        self.root_access_key_id = "ROOT" + secrets.token_hex(8).upper()
        self.root_secret_access_key = secrets.token_urlsafe(30)
        self._guardian: subprocess.Popen[bytes] | None = None
        self.work_folder: Path | None = None

    @property
    def endpoint_url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def function_temp_folder(self) -> Path:
        """What the functions see as their temporary folder; stands in for Lambda's /tmp."""
        if self.work_folder is None:
            raise EmulatorError("The emulator is not running.")
        return self.work_folder / "function-tmp"

    def start(self) -> Self:
        """Start and wait until it answers. Raises EmulatorError with the end of its log when it does not."""
        if is_open(self.port):
            raise EmulatorError(f"Port {self.port} is in use; choose another one with --port.")
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        self.work_folder = Path(tempfile.mkdtemp(prefix="audio-resampler-"))
        self.function_temp_folder.mkdir()
        guardian = Path(__file__).with_name("guardian.py")
        command = [sys.executable, "-I", str(guardian), str(self.work_folder), sys.executable, "-m", "ministack"]
        with self.log_path.open("wb") as log:
            self._guardian = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.work_folder,
                env=self._environment(self.work_folder),
                start_new_session=True,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop everything below the guardian and delete the work folder. Safe to call twice."""
        guardian, self._guardian = self._guardian, None
        if guardian is None:
            return
        assert guardian.stdin is not None
        guardian.stdin.close()
        try:
            guardian.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            guardian.kill()
            guardian.wait()

    def check_alive(self) -> None:
        """Raise EmulatorError when the process has ended on its own."""
        if self._guardian is None or self._guardian.poll() is not None:
            raise EmulatorError(f"The emulator ended unexpectedly.\n{last_lines(self.log_path)}".rstrip())

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            self.check_alive()
            try:
                with urllib.request.urlopen(f"{self.endpoint_url}/_ministack/health", timeout=5) as response:
                    health = json.load(response)
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.05)
                continue
            if health.get("auth") != "enabled":
                raise EmulatorError("The emulator runs without authentication; refusing to go on.")
            return
        raise EmulatorError(f"The emulator did not answer within {START_SECONDS:.0f} s.\n{last_lines(self.log_path)}")

    def _environment(self, work_folder: Path) -> dict[str, str]:
        """The emulator's whole environment, which the functions inherit: nothing of the user's AWS settings."""
        path = os.pathsep.join([*map(str, self.bin_folders), os.environ.get("PATH", os.defpath)])
        return {
            "PATH": path,
            "HOME": str(work_folder),
            "LANG": "C.UTF-8",
            "TMPDIR": str(work_folder),
            "PYTHONUNBUFFERED": "1",
            "AUTH": "true",
            "BIND_HOST": HOST,
            "GATEWAY_PORT": str(self.port),
            "MINISTACK_REGION": REGION,
            "AWS_ACCESS_KEY_ID": self.root_access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.root_secret_access_key,
            "LAMBDA_EXECUTOR": "local",
            "S3_DATA_DIR": str(work_folder / "s3"),
            "STATE_DIR": str(work_folder / "state"),
            "DOCKER_HOST": f"unix://{work_folder}/no-docker.sock",  # a Docker on this machine is not ours to tidy
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
        }


def version() -> str:
    """Version of the installed emulator, for messages."""
    return metadata.version("ministack")


def free_port() -> int:
    """A loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


def is_open(port: int) -> bool:
    """Whether somebody listens on the loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def last_lines(path: Path, count: int = 15) -> str:
    """The end of a log, for an error message."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-count:])
    except OSError:
        return ""
