"""The whole service on this machine: `with EmbeddedAws() as stack: ...`

Builds the artefacts, starts the emulator, deploys the template, reapplies and checks what the emulator drops, creates
a user for clients, and writes all that a client needs to `.local/stack.json`. At the end nothing of it is left.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from local import artefacts, deployment
from local import template as templates
from local.adapter import comparison, reapply, template_changes
from local.artefacts import Artefacts
from local.deployment import STAGE, Aws, Stack
from local.emulator import EVENT_DELAY_SECONDS, REGION, SYSTEM_PATH, Emulator
from local.errors import EmulatorError
from local.function_logs import FunctionLogs, LineSink

PROJECT = Path(__file__).resolve().parent.parent
STATE_FOLDER = PROJECT / ".local"

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class StackAccess:
    """What a client needs, as `.local/stack.json` has it. The keys belong to a user with a policy, not to root."""

    endpoint_url: str
    region: str
    access_key_id: str
    secret_access_key: str
    upload_bucket: str
    result_bucket: str
    jobs_table: str
    api_url: str
    stack_name: str
    functions: dict[str, str]
    """Names of the functions, by logical id."""
    queues: dict[str, str]
    """URLs of the queues, by logical id."""
    log_folder: str
    function_temp_folder: str
    """The functions' temporary folder, which stands in for Lambda's /tmp."""


class EmbeddedAws:
    """One embedded AWS with the service deployed. A context manager; `access`, `aws` and `admin` live inside it."""

    def __init__(
        self,
        parameters: Mapping[str, str] | None = None,
        *,
        port: int | None = None,
        event_delay_seconds: float = EVENT_DELAY_SECONDS,
        template: Path = PROJECT / "template.yaml",
        sam_build_folder: Path | None = None,
        state_folder: Path = STATE_FOLDER,
        write_stack_file: bool = True,
        progress: Progress = lambda _: None,
        show_log: LineSink | None = None,
    ) -> None:
        """Nothing starts before `with`.

        `parameters` are the template's. S3's events come up to `event_delay_seconds` late. `progress` is called with a
        sentence at the start of every step, `show_log` with (function, line) for every line that a function logs.
        """
        self._parameters = dict(parameters or {})
        self._port = port
        self._event_delay_seconds = event_delay_seconds
        self._template = template
        self._sam_build_folder = sam_build_folder
        self._state_folder = state_folder
        self._write_stack_file = write_stack_file
        self._progress = progress
        self._show_log = show_log
        self._cleanup = ExitStack()
        self._emulator: Emulator | None = None
        self.access: StackAccess
        """Addresses, names and keys."""
        self.aws: Aws
        """Clients of the client user: signatures and policies apply."""
        self.admin: Aws
        """Clients of root: everything is allowed and no signature is checked. For tests that reach inside."""
        self.stack: Stack
        """What was deployed."""

    @property
    def stack_file(self) -> Path:
        return self._state_folder / "stack.json"

    def __enter__(self) -> Self:
        with ExitStack() as started:  # undone in reverse order if any step fails
            self._start(started)
            self._cleanup = started.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress("Stopping the embedded AWS")
        self._cleanup.close()

    def check_alive(self) -> None:
        """Raise EmulatorError when the emulator has ended on its own."""
        if self._emulator is None:
            raise EmulatorError("The embedded AWS is not running.")
        self._emulator.check_alive()

    def _start(self, started: ExitStack) -> None:
        template = templates.load(self._template)
        built = self._build(template)

        self._progress("Starting the embedded AWS")
        log_folder = self._state_folder / "logs"
        self._emulator = emulator = Emulator(
            log_folder / "emulator.log", port=self._port, event_delay_seconds=self._event_delay_seconds
        )
        started.callback(emulator.stop)
        self.admin = Aws(emulator.endpoint_url, REGION, emulator.root_access_key_id, emulator.root_secret_access_key)

        self._progress("Deploying template.yaml")
        api_url = f"{emulator.endpoint_url}/{STAGE}"
        locations = deployment.upload(self.admin, built)
        environments = self._environments(template, built, emulator, api_url)
        adapted = template_changes.adapted(template, locations, environments)
        own_address = {"PublicUrl": api_url} if "PublicUrl" in template.get("Parameters", {}) else {}
        self.stack = deployment.create_stack(self.admin, adapted, own_address | self._parameters)
        deployment.map_api(self.admin, self.stack.physical_id("RestApi"), api_url)

        self._progress("Reapplying what the emulator drops, and comparing it with the template")
        reapply.reapply(self.admin, self.stack)
        comparison.check(self.admin, self.stack)

        self.access = self._access(emulator, api_url, log_folder)
        self.aws = Aws(emulator.endpoint_url, REGION, self.access.access_key_id, self.access.secret_access_key)
        groups = self._physical_ids("AWS::Logs::LogGroup").values()
        started.callback(FunctionLogs(self.admin, groups, log_folder, self._show_log).stop)
        if self._write_stack_file:
            write_private(self.stack_file, json.dumps(asdict(self.access), indent=2) + "\n")
            started.callback(self._remove_stack_file)

    def _build(self, template: dict[str, Any]) -> Artefacts:
        if self._sam_build_folder:
            return artefacts.from_sam_build(template, self._sam_build_folder)
        self._progress("Building what has changed; the first time that includes ffmpeg and takes a few minutes")
        return artefacts.build(template, self._template.parent, self._state_folder / "build")

    def _environments(
        self, template: Mapping[str, Any], built: Artefacts, emulator: Emulator, api_url: str
    ) -> dict[str, dict[str, str]]:
        """What each function needs beyond the template: its layers, a temporary folder, and the address of links."""
        opt = {
            logical_id: artefacts.mount(folder, emulator.work_folder / "opt" / logical_id)
            for logical_id, folder in built.layers.items()
        }
        environments = {}
        for logical_id in built.functions:
            # A later layer covers an earlier one.
            layers = [
                opt[layer]
                for layer in reversed(template_changes.layers_of(template["Resources"][logical_id], template))
            ]
            environments[logical_id] = {
                "PATH": os.pathsep.join([*(str(layer / "bin") for layer in layers), SYSTEM_PATH]),
                "PYTHONPATH": os.pathsep.join(str(layer / "python") for layer in layers),
                "TMPDIR": str(emulator.function_temp_folder),
                "AWS_ENDPOINT_URL": emulator.endpoint_url,
                "AWS_ENDPOINT_URL_S3": emulator.s3_endpoint_url,
                "PUBLIC_URL": api_url,
                # How fast this machine answers shall not be judged.
                "CALL_TIMEOUT_SECONDS": "60",
            }
        return environments

    def _access(self, emulator: Emulator, api_url: str, log_folder: Path) -> StackAccess:
        access_key_id, secret_access_key = deployment.create_client_user(self.admin, self.stack)
        return StackAccess(
            endpoint_url=emulator.endpoint_url,
            region=REGION,
            access_key_id=access_key_id,
            secret_access_key=secret_access_key,
            upload_bucket=self.stack.physical_id("UploadBucket"),
            result_bucket=self.stack.physical_id("ResultBucket"),
            jobs_table=self.stack.physical_id("JobsTable"),
            api_url=api_url,
            stack_name=self.stack.name,
            functions=self._physical_ids("AWS::Lambda::Function"),
            queues=self._physical_ids("AWS::SQS::Queue"),
            log_folder=str(log_folder),
            function_temp_folder=str(emulator.function_temp_folder),
        )

    def _physical_ids(self, resource_type: str) -> dict[str, str]:
        return {
            logical_id: self.stack.physical_id(logical_id)
            for logical_id, resource in self.stack.template["Resources"].items()
            if resource["Type"] == resource_type
        }

    def _remove_stack_file(self) -> None:
        """Remove the file, unless another embedded AWS has written its own meanwhile."""
        try:
            if json.loads(self.stack_file.read_text())["endpoint_url"] == self.access.endpoint_url:
                self.stack_file.unlink()
        except (OSError, ValueError, KeyError):
            return


def write_private(path: Path, text: str) -> None:
    """Write a file that nobody but the owner can read, all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    new.replace(path)
