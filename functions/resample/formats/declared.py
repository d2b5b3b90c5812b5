"""What a file declares about its sound."""

from __future__ import annotations

from dataclasses import dataclass, field

from resample.formats.pcm_samples import PcmSamples


@dataclass(frozen=True, slots=True)
class Declared:
    """``sample_frames`` at ``sample_rate`` Hz is what the header promises, ``None`` if it doesn't or can't be trusted.

    ``tolerance`` in sample frames is how much less still counts as all of it. ``missing_bytes`` of the audio lie
    behind the end of the file. ``is_sequential`` tells that the audio is PCM and the last thing in the file, so that
    it can be decoded from the first byte to the last, without a look at what comes later. ``samples`` is where PCM
    lies and how. ``is_size_stale`` tells that the sound goes on to the end of the file, behind the size that the header
    gives; ``left_out_seconds`` of sound stand behind it that no decoder reads. ``uncounted_seconds`` of the length that
    an index gives are no sound. ``links`` streams follow each other (chained Ogg).
    """

    sample_frames: int | None = None
    sample_rate: int | None = None
    tolerance: int = 0
    missing_bytes: int = 0
    is_sequential: bool = False
    samples: PcmSamples | None = field(default=None, compare=False)
    is_size_stale: bool = False
    left_out_seconds: float = 0.0
    uncounted_seconds: float = 0.0
    links: int = 1

    @property
    def duration_seconds(self) -> float | None:
        if self.sample_frames is None or not self.sample_rate:
            return None
        return self.sample_frames / self.sample_rate


NOTHING = Declared()
