"""Lambda's side of a function: the Runtime API, and a process of Lambda's own Python client that asks it for work.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from local.processes import SupervisedProcess
from local.supervisor import descendants, parent_ids

API = "/2018-06-01/runtime"
START_SECONDS = 300.0


class FunctionError(Exception):
    """The function raised; the message is what Lambda would answer."""


class RuntimeEnded(Exception):
    """The process ended or did not answer; the message is the end of its log."""


@dataclass(frozen=True, slots=True)
class _Invocation:
    request_id: str
    event: bytes
    deadline_ms: int


class RuntimeApi(ThreadingHTTPServer):
    """Hands out one invocation at a time, as a Lambda environment gets them."""

    daemon_threads = True

    def __init__(self, arn: str) -> None:
        super().__init__(("127.0.0.1", 0), _Requests)
        self.arn = arn
        self.work: queue.SimpleQueue[_Invocation] = queue.SimpleQueue()
        self.answers: queue.SimpleQueue[tuple[str, str, bytes]] = queue.SimpleQueue()
        """(request id, "response" or "error", body)"""
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class _Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: RuntimeApi

    def do_GET(self) -> None:
        invocation = self.server.work.get()
        headers = {
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": self.server.arn,
            "Lambda-Runtime-Trace-Id": "Root=1-697de0c0-0123456789abcdef01234567;Sampled=0",
        }
        self._reply(200, invocation.event, headers)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        _, _, place = self.path.partition(f"{API}/")
        request_id, kind = place.removeprefix("invocation/").rsplit("/", 1)
        self._reply(202, b"{}", {})
        self.server.answers.put((request_id, kind, body))

    def _reply(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json", "Content-Length": len(body)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class LambdaEnvironment:
    """One environment of a function, from its cold start to its end. A context manager.

    ``task`` and ``opt`` stand in for ``/var/task`` and ``/opt``, ``folder/tmp`` for ``/tmp``.
    """

    def __init__(
        self,
        python: Path,
        handler: str,
        *,
        task: Path,
        opt: Path,
        folder: Path,
        variables: Mapping[str, str],
        timeout_seconds: float,
        arn: str,
    ) -> None:
        self.temp = folder / "tmp"
        self.temp.mkdir(parents=True)
        self.invocation_seconds: list[float] = []
        """How long each invocation took; the first includes the start of the process."""
        self._timeout_seconds = timeout_seconds
        self._log = folder / "log"
        self._api = RuntimeApi(arn)
        self._command: list[str | Path] = [python, "-m", "awslambdaric", handler]
        self._task = task
        name = arn.rpartition(":")[2]
        self._variables = {
            # Lambda's order: /opt/bin comes last. Here it comes alone, so that no other ffmpeg can be found.
            "PATH": str(opt / "bin"),
            "PYTHONPATH": str(opt / "python"),
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "TMPDIR": str(self.temp),
            "LAMBDA_TASK_ROOT": str(task),
            "_HANDLER": handler,
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_RUNTIME_API": self._api.address,
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": "stream",
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
            "AWS_LAMBDA_LOG_LEVEL": "INFO",
            "PYTHONDONTWRITEBYTECODE": "1",  # /var/task and /opt can't be written to
            **variables,
        }
        self._process: SupervisedProcess | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process:
            self._process.stop()
        self._api.shutdown()
        self._api.server_close()
        shutil.rmtree(self.temp)

    @property
    def log(self) -> str:
        """What the function has written to standard output and standard error."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def invoke(self, event: Any, *, request_id: str | None = None) -> Any:
        """What the handler returns. Raises :class:`FunctionError` and :class:`RuntimeEnded`."""
        started = time.monotonic()
        deadline = started + self._timeout_seconds + START_SECONDS
        request_id = request_id or str(uuid.uuid4())
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        self._api.work.put(_Invocation(request_id, body, int((time.time() + self._timeout_seconds) * 1000)))
        if self._process is None:
            self._start()
        while True:
            try:
                answered_id, kind, answer = self._api.answers.get(timeout=0.2)
                break
            except queue.Empty:
                if self._process is None or self._process.ended or time.monotonic() > deadline:
                    raise RuntimeEnded(self.log[-4000:]) from None
        self.invocation_seconds.append(time.monotonic() - started)
        if kind != "response" or answered_id != request_id:
            raise FunctionError(answer.decode(errors="replace") or self.log[-4000:])
        return json.loads(answer)

    def processor_seconds(self) -> float:
        """User and system time of the function's process so far."""
        assert self._process
        below = descendants(self._process.supervisor_id, parent_ids())
        fields = [Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split() for process in below]
        return sum(int(field[11]) + int(field[12]) for field in fields) / os.sysconf("SC_CLK_TCK")

    def _start(self) -> None:
        with self._log.open("wb") as log:
            self._process = SupervisedProcess(
                self._command, cwd=self._task, env=self._variables, stdout=log, stderr=subprocess.STDOUT
            )
