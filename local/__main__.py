"""`python -m local run [AUDIO]` and `python -m local serve`: the service on this machine, no account needed.

`python -m local build` builds what both run, all but ffmpeg, ahead of them.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import NoReturn

from botocore.exceptions import BotoCoreError, ClientError

from local import artefacts
from local import template as templates
from local.console import Console
from local.demo import Journey, output_path, require_file, require_place
from local.emulator import most_megabytes_in_memory
from local.errors import LocalError
from local.following_make import follow_make
from local.instructions import instructions, remove_profile, sam_instructions, write_profile
from local.relay import Relay, bridge_address, own_address
from local.sam_local import serving
from local.sample import write_sample
from local.service_client import ServiceClient
from local.stack import PROJECT, STATE_FOLDER, EmbeddedAws

FIND_BRIDGE = "the bridge"
RUN_WINDOW_SECONDS = 10  # short, so that one can watch the purge, and enough for a busy machine to download


def main(arguments: list[str] | None = None) -> int:
    """Run a command. Returns the exit status: 0, 1 for a failure that was explained, 130 for Ctrl-C."""
    options = parser().parse_args(arguments)
    is_interrupted = threading.Event()

    def interrupt(number: int, frame: FrameType | None) -> None:
        is_interrupted.set()
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, interrupt)  # a shell's background job would ignore it
    follow_make(is_interrupted)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, exit_in_order)
    console = Console()
    try:
        if options.command == "run":
            run(options, console)
        elif options.command == "build":
            build(console)
        else:
            serve(options, console)
    except LocalError as error:
        console.error(str(error))
        return 1
    except (BotoCoreError, ClientError) as error:
        console.error(f"The embedded AWS refused or failed: {error}")
        return 1
    except KeyboardInterrupt:
        console.line("Interrupted; nothing is left running.")
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = result.add_subparsers(dest="command", required=True)
    runner = commands.add_parser("run", help="resample one file, all the way through the service")
    runner.add_argument("audio", nargs="?", type=Path, help="a file of audio; without it, a sample is made")
    runner.add_argument("--output", type=Path, help="where to save the MP3 (default: beside the input, NAME.32k.mp3)")
    runner.add_argument("--api", action="store_true", help="upload through the API instead of straight to the bucket")
    commands.add_parser("build", help="build the functions and their libraries, ahead of the other commands")
    server = commands.add_parser("serve", help="keep the service up")
    for command in (runner, server):
        command.add_argument("--port", type=port_number, help="port on loopback (default: a free one)")
        command.add_argument("--verbose", action="store_true", help="show what the functions log")
        command.add_argument(
            "--sam-build", type=Path, metavar="FOLDER", help="take what `sam build` made (.aws-sam/build)"
        )
    server.add_argument(
        "--containers",
        nargs="?",
        const=FIND_BRIDGE,
        metavar="ADDRESS",
        help="let containers in, for `sam local`, at this machine's address on their network (default: docker's)",
    )
    server.add_argument(
        "--published",
        action="store_true",
        help="in a container whose port is published: listen at the container's address too (give --port)",
    )
    server.add_argument(
        "--parameter",
        action="append",
        default=[],
        type=key_and_value,
        metavar="NAME=VALUE",
        help="a parameter of template.yaml, such as DownloadWindowSeconds=60",
    )
    return result


def key_and_value(text: str) -> tuple[str, str]:
    """`NAME=VALUE` as a pair."""
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"`{text}` is not NAME=VALUE")
    return name, value


def port_number(text: str) -> int:
    """1 to 65535."""
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"`{text}` is no port, from 1 to 65535")
    return int(text)


def run(options: argparse.Namespace, console: Console) -> None:
    """Take one file through the service."""
    if options.audio:
        audio, output = options.audio, options.output or output_path(options.audio)
        require_file(audio)
    else:
        audio = write_sample(STATE_FOLDER / "sample.wav")
        output = options.output or Path("sample.32k.mp3")
        console.done("Sample", f"{audio}, 8 s of a chord; give your own with AUDIO=song.flac")
    require_place(output)
    parameters = {"DownloadWindowSeconds": str(RUN_WINDOW_SECONDS)}
    started = time.monotonic()
    with embedded_aws(options, console, parameters) as stack:
        console.done("Embedded AWS", f"up in {time.monotonic() - started:.1f} s at {stack.access.endpoint_url}")
        figures = Journey(stack, console, RUN_WINDOW_SECONDS).run(audio, output, through_api=options.api)
    console.done("Done", f"{output}: {figures}")


def within_memory(parameters: dict[str, str], console: Console) -> dict[str, str]:
    """The template's parameters with the largest upload that this machine has the memory for, unless they name one."""
    default = int(templates.load(PROJECT / "template.yaml")["Parameters"]["MaxUploadMegabytes"]["Default"])
    most = most_megabytes_in_memory()
    if "MaxUploadMegabytes" in parameters or most >= default:
        return parameters
    console.line(f"Files of up to {most} MB are taken: the embedded AWS keeps them in memory.")
    return {**parameters, "MaxUploadMegabytes": str(most)}


def build(console: Console) -> None:
    """Build the functions and their libraries; ffmpeg is built on its own, side by side."""
    console.step("Building the functions and their libraries")
    template = templates.load(PROJECT / "template.yaml")
    artefacts.build(template, PROJECT, STATE_FOLDER / "build", without={artefacts.FFMPEG_LAYER})


def serve(options: argparse.Namespace, console: Console) -> None:
    """Keep the service up until it is interrupted."""
    parameters = dict(options.parameter)
    address = bridge_address() if options.containers == FIND_BRIDGE else options.containers
    if address:
        # The embedded function and the one in the container both take the example upload.
        parameters["KeepOriginals"] = "true"
    with embedded_aws(options, console, parameters) as stack, ExitStack() as opened:
        page = ServiceClient(stack.access).create_job("song.wav")["link"]
        if options.published:
            opened.callback(Relay(own_address(), int(stack.access.endpoint_url.rpartition(":")[2])).stop)
        sample = write_sample(STATE_FOLDER / "sample.wav")
        profile = write_profile(stack.access, STATE_FOLDER)
        try:
            console.line(instructions(stack.access, stack.stack_file, profile, page, sample))
            if address:
                console.line(sam_instructions(opened.enter_context(serving(stack, address, STATE_FOLDER))))
            while True:
                stack.check_alive()
                time.sleep(0.5)
        except KeyboardInterrupt:
            console.line()
        finally:
            remove_profile(STATE_FOLDER)


def embedded_aws(options: argparse.Namespace, console: Console, parameters: dict[str, str]) -> EmbeddedAws:
    """The embedded AWS as the options ask for it."""
    return EmbeddedAws(
        within_memory(parameters, console),
        port=options.port,
        sam_build_folder=options.sam_build,
        progress=console.step,
        show_log=console.log if options.verbose else None,
    )


def exit_in_order(number: int, _: FrameType | None) -> NoReturn:
    """Turn a polite kill into an exception, so that everything is stopped on the way out."""
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
