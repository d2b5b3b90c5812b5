"""The emulator process: ministack on loopback, as strict as AWS (`strict_emulator`), started, watched and stopped.

All its state is in memory or in one work folder, and it runs under the supervisor, so nothing of it outlives this
process.
"""

from __future__ import annotations

import re
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import urllib3

from local.errors import EmulatorError
from local.processes import SupervisedProcess

HOST = "127.0.0.1"
REGION = "us-east-1"  # where boto3 presigns SigV2 unless told otherwise: the best place to notice that nobody told it
S3_HOST = "localhost"  # another origin than that of the API, as on AWS
STRICT_EMULATOR = Path(__file__).with_name("strict_emulator.py")
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
MEMORY_PER_BYTE = 3.2  # of an object: itself, what it arrived in, and what a function reads of it at the time
EVENT_DELAY_SECONDS = 0.5
"""Longest delay of an S3 event on its way to a function: two events of one key may change places."""
START_SECONDS = 300.0  # it takes one or two; a machine with other things to do may take long


class Emulator:
    """One ministack process, from construction until `stop`."""

    def __init__(
        self, log_path: Path, *, port: int | None = None, event_delay_seconds: float = EVENT_DELAY_SECONDS
    ) -> None:
        """Start it and wait until it answers. Raises EmulatorError with the end of its log if it fails."""
        self.log_path = log_path
        self._event_delay_seconds = event_delay_seconds
        self.root_access_key_id = "ROOT" + secrets.token_hex(8).upper()
        self.root_secret_access_key = secrets.token_urlsafe(30)
        with reserved_port(port or 0) as self.port:
            self.work_folder = Path(tempfile.mkdtemp(prefix="audio-resampler-"))
            self.function_temp_folder = self.work_folder / "function-tmp"
            self.function_temp_folder.mkdir()
            self._process = self._started()
            try:
                self._wait_until_it_answers()
            except BaseException:
                self.stop()
                raise

    @property
    def endpoint_url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def s3_endpoint_url(self) -> str:
        """Where functions find S3, and the origin of every presigned URL."""
        return f"http://{S3_HOST}:{self.port}"

    def stop(self) -> None:
        """Stop it and its functions, and delete the work folder. Safe to call twice."""
        self._process.stop()

    def check_alive(self) -> None:
        """Raise EmulatorError when the process has ended on its own."""
        if self._process.ended:
            raise EmulatorError(f"The emulator ended unexpectedly.\n{last_lines(self.log_path)}".rstrip())

    def _started(self) -> SupervisedProcess:
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("wb") as log:
            return SupervisedProcess(
                [sys.executable, "-P", STRICT_EMULATOR],
                work_folder=self.work_folder,
                cwd=self.work_folder,
                env=self._environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _wait_until_it_answers(self) -> None:
        pool = urllib3.PoolManager(retries=False, timeout=5)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            self.check_alive()
            try:
                health = pool.request("GET", f"{self.endpoint_url}/_ministack/health").json()
            except urllib3.exceptions.HTTPError:
                time.sleep(0.05)
                continue
            if health.get("auth") != "enabled":
                raise EmulatorError("The emulator runs without authentication; refusing to go on.")
            return
        raise EmulatorError(f"The emulator did not answer within {START_SECONDS:.0f} s.\n{last_lines(self.log_path)}")

    def _environment(self) -> dict[str, str]:
        """The emulator's whole environment, which functions inherit: nothing of the user's own AWS settings."""
        return {
            "PATH": SYSTEM_PATH,
            "HOME": str(self.work_folder),
            "LANG": "C.UTF-8",
            "TMPDIR": str(self.work_folder),
            "PYTHONUNBUFFERED": "1",
            "AUTH": "true",
            "BIND_HOST": HOST,
            "GATEWAY_PORT": str(self.port),
            "MINISTACK_REGION": REGION,
            "AWS_ACCESS_KEY_ID": self.root_access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.root_secret_access_key,
            "LAMBDA_EXECUTOR": "local",
            "LAMBDA_WARM_TTL_SECONDS": "30",  # idle processes of a burst give their memory back
            "S3_EVENT_DELAY_SECONDS": str(self._event_delay_seconds),
            "S3_DATA_DIR": str(self.work_folder / "s3"),
            "STATE_DIR": str(self.work_folder / "state"),
            # It tidies the containers of a Docker that it finds; one on this machine is not ours to touch.
            "DOCKER_HOST": f"unix://{self.work_folder}/no-docker.sock",
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
        }


@contextmanager
def reserved_port(port: int = 0) -> Iterator[int]:
    """Hold a loopback port, a free one for 0, until whom it is meant for listens on it. Raises EmulatorError if taken.

    The system gives it to nobody meanwhile, neither as a free port nor as the near end of a connection: only who asks
    for this very port and lets addresses be reused can listen on it, as servers do.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            holder.bind((HOST, port))
        except OSError as error:
            raise EmulatorError(f"Port {port} can't be had ({error.strerror}); choose another with --port.") from error
        yield holder.getsockname()[1]


def most_megabytes_in_memory(meminfo: str = "") -> int:
    """The largest object, in MB of 1,000,000 bytes, for which there is memory now, by the text of /proc/meminfo."""
    found = re.search(r"^MemAvailable: +(\d+) kB", meminfo or Path("/proc/meminfo").read_text(), re.MULTILINE)
    return max(1, int(int(found[1]) * 1024 / MEMORY_PER_BYTE / 1e6)) if found else sys.maxsize


def last_lines(path: Path, count: int = 15) -> str:
    """The end of a log, for an error message."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-count:])
    except OSError:
        return ""
