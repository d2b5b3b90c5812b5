"""`python -m tests.container.checks FOLDER`: the Dockerfile's image is built, and used as docs/container.md says.

`debian:trixie-slim` is made from Debian's packages, so that no image registry is needed. Nothing is cleaned up here:
that is done by `tests.container`, which starts this in namespaces of its own.
"""

from __future__ import annotations

import ctypes
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import requests

from local.emulator import REGION, Emulator, reserved_port
from local.sample import write_sample
from local.stack import PROJECT
from tests.sam_local.podman import Podman, debian_mirror
from tests.terminal import typed

BASE = "docker.io/library/debian:trixie-slim"
IMAGE = "localhost/audio-resampler"
SECONDS_ALLOWED = 300.0
DEPLOY_SECONDS_ALLOWED = 1200.0
CERTIFICATES = "/etc/ssl/certs"
BUNDLE = f"{CERTIFICATES}/ca-certificates.crt"
CLONE_NEWNET = 0x40000000

# This machine's network, and the authorities that it trusts.
OF_THIS_MACHINE = (
    *("--network=host", "--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro"),
    *(f"--env={variable}={BUNDLE}" for variable in ("PIP_CERT", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS")),
)


def main(folder: Path) -> None:
    podman = Podman(folder)
    say("base image")
    podman.import_debian(BASE, debian_mirror())
    say("the Dockerfile")
    podman.run("build", "--quiet", "--pull=never", "--tag", IMAGE, *OF_THIS_MACHINE, PROJECT)
    check_deploy(podman, folder)
    unplug_network()
    check_run(podman, folder)
    check_serve(podman, folder)
    say("passed; removing everything, which may take a minute ...")


def check_deploy(podman: Podman, folder: Path) -> None:
    """`make deploy` in a checkout, with keys, at a terminal; then with the layer that it built, without a cache."""
    checkout, keys = folder / "checkout", folder / "aws"
    ignored = [Path(pattern).name for pattern in (PROJECT / ".dockerignore").read_text().split()]
    shutil.copytree(PROJECT, checkout, ignore=shutil.ignore_patterns(*ignored))
    keys.mkdir()
    emulator = Emulator(folder / "emulator.log")
    (keys / "credentials").write_text(
        f"[default]\naws_access_key_id = {emulator.root_access_key_id}\n"
        f"aws_secret_access_key = {emulator.root_secret_access_key}\n"
    )

    def deploy(stack_name: str, *arguments: str) -> str:
        mounts = ("--volume", f"{keys}:/root/.aws", "--volume", f"{checkout}:/audio-resampler")
        endpoint = ("--env", f"AWS_ENDPOINT_URL={emulator.endpoint_url}")
        command = ("run", "--rm", "-it", *OF_THIS_MACHINE, *endpoint, *mounts)
        screen = typed(
            shlex.join(podman.command(*command, *arguments)),
            ("Name of the stack", stack_name),
            ("Region", REGION),
            ("Processor", ""),
            ("Hours that a result waits", ""),
            ("Address that alarms are mailed to", ""),
            ("Deploy this changeset?", "y"),
            environment=os.environ,
            cwd=folder,
            seconds_allowed=DEPLOY_SECONDS_ALLOWED,
        )
        assert f"Successfully created/updated stack - {stack_name}" in screen, screen[-4000:]
        return screen

    try:
        deploy("compiled", IMAGE, "deploy")
        layer = checkout / ".aws-sam" / "build" / "FfmpegLayer"
        shutil.make_archive(str(checkout / "layer"), "zip", layer)
        screen = deploy("given", "--tmpfs", "/root/.cache", IMAGE, "deploy", "LAYER=layer.zip")
        assert "building for" not in screen, "the layer was compiled again"
    finally:
        emulator.stop()
    assert 'stack_name = "given"' in (checkout / "samconfig.toml").read_text()
    say("make deploy, and make deploy LAYER=layer.zip, each made a stack")


def unplug_network() -> None:
    """Go on in a network of our own: nothing needs the internet any more, and podman's bridge and rules end with it."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "no network of our own")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def check_run(podman: Podman, folder: Path) -> None:
    """A file of this machine is converted, and its MP3 is beside it."""
    audio = folder / "audio"
    audio.mkdir()
    write_sample(audio / "song.wav")
    shown = podman.run("run", "--rm", "--volume", f"{audio}:/audio", IMAGE, "run", "AUDIO=/audio/song.wav")
    sys.stdout.write(f"{shown}\n")
    assert "refused: 410" in shown
    assert "0 objects in the upload bucket, 0 in the result bucket" in shown
    assert (audio / "song.32k.mp3").stat().st_size > 10_000


def check_serve(podman: Podman, folder: Path) -> None:
    """The page, the upload and the download work from outside, by the port that is published."""
    with reserved_port() as port:
        pass  # free again, because podman publishes it
    published = ("--publish", f"127.0.0.1:{port}:{port}", "--env", f"SERVE_OPTIONS=--published --port {port}")
    podman.run("run", "--detach", "--name", "serve", *published, IMAGE)
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
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))  # the first process of a namespace is not ended by default
    try:
        main(Path(sys.argv[1]))
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error}\n{error.stdout or ''}")
