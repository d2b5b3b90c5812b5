"""Convert one file without any AWS: ``python -m resample.engine SOURCE DESTINATION``.

Prints one JSON object on stdout: ``{"outcome": "ready", ...}`` with exit status 0, or ``{"outcome": "failed", "error":
...}`` with exit status 1. A wrong command line is exit status 2.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from audiojobs.conversion import Conversion
from audiojobs.errors import AudioJobError
from audiojobs.job import Notice, Result, Source
from resample.engine.convert import convert
from resample.formats.containers import identify
from resample.formats.passthrough import passthrough_result
from resample.formats.reader import file_reader

_DEADLINE_SECONDS = 900.0


def main(arguments: list[str] | None = None) -> int:
    """Run the command. Returns its exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not options.source.is_file():
        parser.error(f"{options.source} is not a file")
    try:
        report = _ready(*_convert(options))
    except AudioJobError as error:
        report = {"outcome": "failed", "error": Notice.of(error).as_json()}
    print(json.dumps(report))  # noqa: T201 - this is what the command is for
    return 0 if report["outcome"] == "ready" else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m resample.engine", description="Convert one file to MP3.")
    parser.add_argument("source", type=Path, help="the audio file")
    parser.add_argument("destination", type=Path, help="the MP3 to write")
    parser.add_argument("--sample-rate", type=int, metavar="N", help="in Hz (default: 32000)")
    quality = parser.add_mutually_exclusive_group()
    quality.add_argument("--bit-rate", type=int, metavar="N", help="constant, in bit/s (default: 192000)")
    quality.add_argument("--vbr-quality", type=int, metavar="N", help="0 (best) to 9")
    parser.add_argument("--channels", type=int, metavar="N", help="1 or 2 (default: as the source, at most 2)")
    parser.add_argument("--allow-partial", action="store_true", help="accept a truncated or damaged file")
    parser.add_argument("--encoders", type=int, default=1, metavar="N", help="that work at a time (default: 1)")
    return parser


def _convert(options: argparse.Namespace) -> tuple[Source, Result, tuple[Notice, ...]]:
    wishes = {
        name: getattr(options, name)
        for name in ("sample_rate", "bit_rate", "vbr_quality", "channels", "allow_partial")
        if getattr(options, name) is not None
    }
    conversion = Conversion.from_json(wishes)
    source, destination = options.source.absolute(), options.destination.absolute()
    size_bytes = source.stat().st_size
    with file_reader(source) as read:
        container = identify(read, size_bytes)
        passed = passthrough_result(read, size_bytes, conversion, container)
    if passed:
        shutil.copyfile(source, destination)
        return *passed, ()
    with tempfile.TemporaryDirectory(prefix="resample-") as folder:
        written = Path(folder) / "result.mp3"
        converted = convert(
            source,
            container,
            conversion,
            written,
            deadline=time.monotonic() + _DEADLINE_SECONDS,
            on_progress=lambda _: None,
            encoders=options.encoders,
        )
        shutil.move(written, destination)
    return converted.source, converted.result, converted.warnings


def _ready(source: Source, result: Result, warnings: tuple[Notice, ...]) -> dict[str, Any]:
    return {
        "outcome": "ready",
        "passthrough": result.passthrough,
        "source": asdict(source),
        "result": asdict(result),
        "warnings": [warning.as_json() for warning in warnings],
    }


if __name__ == "__main__":
    sys.exit(main())
