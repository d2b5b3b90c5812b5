"""`python -m tests.container`: the Dockerfile's image, `make run` and `make serve` in it, then clean up.

Run as root on Debian. `debian:trixie-slim` is made from Debian's packages, so that no image registry is needed, and the
ffmpeg layer is taken from this machine's cache, where there is one. Takes some minutes; `make test-container` prepares
everything.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import requests

from local.emulator import reserved_port
from local.sample import write_sample
from local.stack import PROJECT
from tests.sam_local.podman import Podman, debian_mirror

TOOLS = {"podman": "podman", "runc": "runc", "mmdebstrap": "mmdebstrap", "ip": "iproute2"}
BASE = "docker.io/library/debian:trixie-slim"
IMAGE = "localhost/audio-resampler"
SECONDS_ALLOWED = 300.0
CERTIFICATES = "/etc/ssl/certs"
BUNDLE = f"{CERTIFICATES}/ca-certificates.crt"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "audio-resampler"
LAYER = ("--volume", f"{CACHE}:/root/.cache/audio-resampler")


def main() -> int:
    missing = [package for command, package in TOOLS.items() if not shutil.which(command)]
    if missing:
        sys.exit(f"missing; please type: sudo apt-get install {' '.join(missing)}")
    with tempfile.TemporaryDirectory(prefix="audio-resampler-container-") as name:
        folder = Path(name)
        podman = Podman(folder)
        with podman.cleaned_up():
            say("base image")
            podman.import_debian(BASE, debian_mirror())
            say("the Dockerfile")
            build(podman)
            check_run(podman, folder)
            check_serve(podman, folder)
    say("passed; everything is removed again")
    return 0


def build(podman: Podman) -> None:
    """Build the image, with this machine's network and the authorities that it trusts."""
    CACHE.mkdir(parents=True, exist_ok=True)
    podman.run(
        *("build", "--quiet", "--pull=never", "--network=host", "--tag", IMAGE, *LAYER),
        *("--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro"),
        *(word for variable in ("PIP_CERT", "SSL_CERT_FILE") for word in ("--env", f"{variable}={BUNDLE}")),
        PROJECT,
    )


def check_run(podman: Podman, folder: Path) -> None:
    """A file of this machine is converted, and its MP3 is beside it."""
    audio = folder / "audio"
    audio.mkdir()
    write_sample(audio / "song.wav")
    shown = podman.run("run", "--rm", *LAYER, "--volume", f"{audio}:/audio", IMAGE, "run", "AUDIO=/audio/song.wav")
    sys.stdout.write(f"{shown}\n")
    assert "refused: 410" in shown
    assert "0 objects in the upload bucket, 0 in the result bucket" in shown
    assert (audio / "song.32k.mp3").stat().st_size > 10_000


def check_serve(podman: Podman, folder: Path) -> None:
    """The page, the upload and the download work from outside, by the port that is published."""
    with reserved_port() as port:
        pass  # free again, because podman publishes it
    published = ("--publish", f"127.0.0.1:{port}:{port}", "--env", f"SERVE_OPTIONS=--published --port {port}")
    podman.run("run", "--detach", "--name", "serve", *LAYER, *published, IMAGE)
    link = re.findall(r"page +(http://\S+)", log_with(podman, "The service is up"))[0]
    page = requests.get(link, headers={"Accept": "text/html"}, timeout=60)
    assert page.headers["Content-Type"].startswith("text/html"), page.text
    job = requests.get(link, timeout=60).json()
    wav = write_sample(folder / "chord.wav").read_bytes()
    requests.put(job["upload"]["url"], data=wav, timeout=60).raise_for_status()
    deadline = time.monotonic() + SECONDS_ALLOWED
    while job["status"] in ("awaiting-upload", "processing") and time.monotonic() < deadline:
        time.sleep(0.2)
        job = requests.get(link, timeout=60).json()
    assert job["status"] == "ready", job
    mp3 = requests.post(link, timeout=60)
    assert (mp3.status_code, mp3.headers["Content-Type"]) == (200, "audio/mpeg")
    say(f"the page answered, and the link gave {len(mp3.content)} bytes of MP3")


def log_with(podman: Podman, sentence: str) -> str:
    """What the container `serve` printed, once that sentence is in it."""
    deadline = time.monotonic() + SECONDS_ALLOWED
    while time.monotonic() < deadline:
        printed = podman.run("logs", "serve")
        if sentence in printed:
            return printed
        time.sleep(0.5)
    raise RuntimeError(f"`{sentence}` was not printed:\n{printed}")


def say(text: str) -> None:
    sys.stdout.write(f"container: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error}\n{error.stdout or ''}")
