"""The resampling function's engine on two hours of WAV that arrive while they are decoded, in a process of its own.

    python -m tests.integration.two_hours PCM ENCODERS DESTINATION

``PCM`` is a file of 16-bit stereo at 44.1 kHz, repeated for as long. All modules of the Lambda are loaded, as there.
"""

from __future__ import annotations

import json
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from itertools import cycle
from pathlib import Path

import resample.app  # noqa: F401 - it takes memory
from audiojobs.conversion import Conversion
from resample.engine.convert import convert
from resample.engine.streamed_source import STREAM_HEAD_BYTES, StreamedSource
from resample.formats.containers import identify

SECONDS = 7200
SAMPLE_RATE = 44_100
_FRAME_BYTES = 4
_CHUNK_BYTES = 256 << 10


def main(pcm: Path, encoders: int, destination: Path) -> None:
    data_bytes = SECONDS * SAMPLE_RATE * _FRAME_BYTES
    header = b"RIFF" + struct.pack("<I", 36 + data_bytes) + b"WAVEfmt "
    header += struct.pack("<IHHIIHH", 16, 1, 2, SAMPLE_RATE, SAMPLE_RATE * _FRAME_BYTES, _FRAME_BYTES, 16)
    header += b"data" + struct.pack("<I", data_bytes)

    def chunks() -> Iterator[bytes]:
        yield header
        rest = data_bytes
        for _ in cycle([None]):
            with pcm.open("rb") as file:
                while chunk := file.read(min(_CHUNK_BYTES, rest)):
                    rest -= len(chunk)
                    yield chunk
            if not rest:
                return

    head = b""
    for chunk in chunks():
        head += chunk
        if len(head) >= STREAM_HEAD_BYTES:
            break
    incoming = StreamedSource(len(header) + data_bytes, head, chunks)
    converted = convert(
        incoming,
        identify(lambda offset, length: head[offset : offset + length], incoming.size_bytes),
        Conversion(),
        destination,
        deadline=time.monotonic() + 1500,
        on_progress=lambda _: None,
        encoders=encoders,
    )
    sys.stdout.write(json.dumps(asdict(converted)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
