"""What parallel encoding stands on: encoders that agree once agree for ever, at every rate, variable ones too."""

from __future__ import annotations

import subprocess

import pytest

from audiojobs.conversion import BIT_RATES
from resample.engine.parallel import EncoderSettings
from resample.engine.parallel.join import Join
from resample.engine.parallel.mpeg_stream import Content, EncodedStream
from tests.integration.test_parallel_encoding import encoding, pcm

SECONDS = 24  # at 32 kHz; the same samples at any other rate
SOUNDS = ("music", "tone", "chord", "fades", "full-scale-noise")
STARTS = (196, 392)

pytestmark = pytest.mark.long


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("sample_rate", sorted(BIT_RATES))
def test_encoders_that_agree_once_agree_for_ever(sample_rate: int, channels: int) -> None:
    waited: list[int] = []
    for quality in range(10):
        wanted = encoding(sample_rate, channels, vbr_quality=quality)
        for sound in SOUNDS:
            samples = pcm(sound, channels=channels)[: SECONDS * 32_000 * wanted.sample_frame_bytes]
            whole = encoded(samples, wanted, 0)
            for start in STARTS:
                later = encoded(samples, wanted, start)
                join = Join(whole, later, warm_up=wanted.warm_up_frames).find()
                assert join is not None, (quality, sound, start)
                waited.append(join - start)
                assert what_plays(whole, join) == what_plays(later, join), (quality, sound, start)
    waited.sort()
    print(f"\n{sample_rate} Hz, {channels} channels: {len(waited)} joins")  # noqa: T201
    print(f"after {waited[0]} to {waited[-1]} MPEG frames, nine in ten within {waited[9 * len(waited) // 10]}")  # noqa: T201


def what_plays(stream: EncodedStream, join: int) -> list[tuple[Content, int]]:
    """From a join on: the MPEG frames without what fills unused bits, and how long they are."""
    contents = (stream.content(index) for index in range(join, stream.end))
    return list(zip(contents, stream.lengths(join, stream.end), strict=True))


def encoded(samples: bytes, wanted: EncoderSettings, start: int) -> EncodedStream:
    """What one encoder writes that begins at MPEG frame ``start``."""
    from_there = samples[start * wanted.mpeg_frame_bytes :]
    done = subprocess.run(wanted.command(), input=from_there, capture_output=True, check=True)
    stream = EncodedStream(start, wanted.expected)
    stream.append(done.stdout)
    return stream
