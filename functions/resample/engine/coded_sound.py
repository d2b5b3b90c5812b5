"""Whether decoded samples are compressed sound: a DTS CD that was copied to FLAC, the frames of a cable in ALAC.

Played as samples they are noise at full scale. What no codec changes can hold them, as PCM can, and only the decoded
samples tell.
"""

from __future__ import annotations

import re
from pathlib import Path

from resample.engine.ffmpeg.arguments import beginning_command
from resample.engine.ffmpeg.probe_result import ProbeResult
from resample.formats.containers import Container
from resample.formats.pcm_samples import PcmSamples, coded_sound
from resample.sandbox.process import executable, run

_LOSSLESS = re.compile(r"pcm_s\w+|flac|alac|wavpack|ape|tta|shorten|wmalossless")
_SECONDS = 1.0
_CARRIER_RATES = (44_100, 48_000)
_WIDTH = 4


def coded_sound_in(
    file: Path, container: Container, probed: ProbeResult, *, folder: Path, deadline: float
) -> str | None:
    """The name of the coding in the first second of a file's samples; ``None`` for real samples.

    Compressed sound comes as two channels at 44.1 or 48 kHz, as its frames would on a cable. A file that cannot be
    decoded is for others to judge. Raises what :func:`~resample.sandbox.process.run` raises.
    """
    is_carrier = probed.channels == 2 and probed.sample_rate in _CARRIER_RATES and not probed.mono_tracks
    if not is_carrier or not _LOSSLESS.fullmatch(probed.codec):
        return None
    content = bytearray()
    run(
        beginning_command(executable("ffmpeg"), file, container, probed, seconds=_SECONDS),
        folder=folder,
        deadline=deadline,
        on_output=content.extend,
    )
    samples = PcmSamples(0, len(content), probed.channels, _WIDTH, 8 * _WIDTH, is_float=False, is_big_endian=False)
    return coded_sound(lambda offset, length: bytes(content[offset : offset + length]), samples)
