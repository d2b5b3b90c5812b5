"""`python -m tests.sam_local`: `sam local invoke` and `sam local start-api` against the embedded AWS, then clean up.

Run as root on Debian, after `sam build`. Takes a minute or two; `make test-sam-local` prepares everything.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from local.emulator import reserved_port
from local.processes import SupervisedProcess
from local.sam_local import SamLocal, serving
from local.sample import write_sample
from local.stack import PROJECT, EmbeddedAws
from tests.runtime.artefacts import SAM_BUILDS
from tests.sam_local.podman import GATEWAY, IMAGE, Podman, debian_mirror, require_programs

BUILD = SAM_BUILDS["arm64" if os.uname().machine == "aarch64" else "x86_64"]
START_API_SECONDS = 60.0


def main() -> int:
    require_programs()
    with tempfile.TemporaryDirectory(prefix="audio-resampler-sam-local-") as name:
        folder = Path(name)
        podman = Podman(folder)
        say("base image")
        podman.make_base_image(debian_mirror())
        with (
            podman.service(),
            EmbeddedAws(
                {"KeepOriginals": "true"},
                sam_build_folder=BUILD,
                state_folder=folder / "state",
                write_stack_file=False,
                progress=say,
            ) as stack,
            serving(stack, GATEWAY, folder / "state") as files,
        ):
            environment = sam_environment(files, folder, podman)
            check_invoke(stack, files, environment)
            check_start_api(files, environment, folder)
            check_warm_containers(files, environment, folder, podman)
    say("passed; everything is removed again")
    return 0


def check_invoke(stack: EmbeddedAws, files: SamLocal, environment: dict[str, str]) -> None:
    """The example event becomes a job, and its link gives the MP3."""
    command = typed("invoke", files)
    say(" ".join(command[1:]))
    done = subprocess.run(command, env=environment, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True)
    sys.stdout.write(f"{done.stdout.strip()}\n")
    job = json.loads(done.stdout)
    assert job["status"] == "ready", job
    assert job["result"]["sample_rate"] == 32000
    assert job["link"].startswith(f"{stack.access.api_url}/d/{job['id']}.")
    mp3 = requests.post(job["link"], timeout=30)
    assert mp3.headers["Content-Type"] == "audio/mpeg"
    assert len(mp3.content) == job["result"]["size_bytes"]
    say(f"the link gave {len(mp3.content)} bytes of MP3")


def check_start_api(files: SamLocal, environment: dict[str, str], folder: Path) -> None:
    """A job by way of the API in a container, its file by way of the embedded AWS."""
    with reserved_port() as port:
        pass  # free again, because SAM looks whether it is
    with started_api(files, environment, folder / "start-api.log", port):
        api = f"http://127.0.0.1:{port}"
        contract = answer("GET", f"{api}/openapi.json")
        assert contract["openapi"].startswith("3.")
        job = answer("POST", f"{api}/jobs", json={"filename": "chord.wav"})
        assert job["status"] == "awaiting-upload"
        assert job["link"].startswith(f"{api}/d/{job['id']}."), job["link"]
        wav = write_sample(folder / "chord.wav").read_bytes()
        requests.put(job["upload"]["url"], data=wav, timeout=30).raise_for_status()
        deadline = time.monotonic() + 120
        while job["status"] in ("awaiting-upload", "processing") and time.monotonic() < deadline:
            job |= answer("GET", f"{api}/jobs/{job['id']}")
        assert job["status"] == "ready", job
        looked = requests.get(job["link"], headers={"Accept": "text/html"}, timeout=60)
        assert looked.headers["Content-Type"].startswith("text/html"), looked.text
        mp3 = requests.post(job["link"], timeout=60)
        assert (mp3.status_code, mp3.headers["Content-Type"]) == (200, "audio/mpeg")
        again = requests.post(job["link"], timeout=60)
        assert (again.status_code, again.json()["type"]) == (410, "already-downloaded")
        say(f"the link gave {len(mp3.content)} bytes of MP3, and then {again.status_code} {again.json()['type']}")


def check_warm_containers(files: SamLocal, environment: dict[str, str], folder: Path, podman: Podman) -> None:
    """With `--warm-containers LAZY`, the second call of a function finds the container of the first."""
    with reserved_port() as port:
        pass
    with started_api(files, environment, folder / "warm.log", port, "--warm-containers", "LAZY"):
        containers = []
        for _ in range(3):
            answer("GET", f"http://127.0.0.1:{port}/openapi.json")
            containers.append(podman.run("ps", "--quiet"))
    assert len(set(containers)) == 1, containers
    assert len(containers[0].split()) == 1, containers


@contextmanager
def started_api(
    files: SamLocal, environment: dict[str, str], log_path: Path, port: int, *options: str
) -> Iterator[None]:
    """`sam local start-api` on a port of loopback."""
    command = [*typed("start-api", files), "--port", str(port), *options]
    say(" ".join(command[1:]))
    with log_path.open("wb") as log:
        process = SupervisedProcess(command, env=environment, cwd=PROJECT, stdout=log, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + START_API_SECONDS
        while "Running on" not in log_path.read_text(errors="replace"):
            if process.ended or time.monotonic() > deadline:
                raise RuntimeError("sam local start-api did not start")
            time.sleep(0.1)
        yield
    except BaseException:
        sys.stderr.write(log_path.read_text(errors="replace"))
        raise
    finally:
        process.stop()


def answer(method: str, url: str, **request: Any) -> dict[str, Any]:
    """The JSON that a request is answered with, and how long it took: mostly a container's start."""
    started = time.monotonic()
    response = requests.request(method, url, timeout=120, **request)
    say(f"{method} {url}: {response.status_code} in {time.monotonic() - started:.2f} s")
    response.raise_for_status()
    found: dict[str, Any] = response.json()
    return found


def typed(command: str, files: SamLocal) -> list[str]:
    """A command of docs/sam-local.md, with the files of this stack and an image that no registry has to give."""
    document = (PROJECT / "docs" / "sam-local.md").read_text(encoding="utf-8")
    [line] = re.findall(rf"^\S+sam local {command} .*$", document, re.MULTILINE)
    program, *words = shlex.split(line.replace(".local/sam-env.json", str(files.environment)))
    images = ["--invoke-image", IMAGE, "--skip-pull-image"]
    return [str(PROJECT / program), *words, "--template", str(BUILD / "template.yaml"), *images]


def sam_environment(files: SamLocal, folder: Path, podman: Podman) -> dict[str, str]:
    """SAM's environment: the keys as a shell would source them, podman for Docker, and a home of its own."""
    exports = subprocess.run(
        ["bash", "-c", '. "$1" && env', "bash", files.keys], capture_output=True, text=True, check=True
    )
    keys = dict(line.split("=", 1) for line in exports.stdout.splitlines() if line.startswith("AWS_"))
    home = folder / "home"
    home.mkdir()
    return {
        **keys,
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "SAM_CLI_TELEMETRY": "0",
        "DOCKER_HOST": podman.docker_host,
    }


def say(text: str) -> None:
    sys.stdout.write(f"sam local: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
