"""One file on every core: several LAME encoders work on stretches of the same PCM, and their MPEG frames are joined.

LAME is single-threaded and nine tenths of a conversion. An encoder that starts in the middle of the PCM differs from
one that came from the beginning: its bit reservoir is empty and its psychoacoustic model has no past. But the state
of LAME forgets. After some MPEG frames (30 to 100 at constant bit rates, 100 to 130 at variable ones) both write the
same, bit by bit, and from there on they always will. So:

- The first encoder starts at the beginning, the others further on. Each is simply fed on past the place where the
  next one began, until its MPEG frames and those of the next one agree for a while (:mod:`.join`). There the stream
  goes over to the next encoder's, and the encoder that became free starts again further on (:mod:`.plan`).
- Nothing is assumed to have converged: what never agrees is never joined, and the first encoder goes on to the end.
  The result is what one encoder would have written; only the time varies.
- The PCM comes from one process that decodes and resamples, for every format and with the resampler's exact state. It
  goes from pipe to memory to pipe (:mod:`.pcm_window`), and at most
  :data:`~resample.engine.parallel.ring.WINDOW_BYTES` of it wait.
- The tags, the cover and a template of the Xing/Info header come from a short MP3 that ffmpeg writes
  (:mod:`.info_header`), so that they are those of the one-process conversion.

:func:`encode_in_parallel` is the way in. :class:`ParallelEncodingFailed` means: encode it with one process instead.
"""

from resample.engine.parallel.encoder_process import EncoderSettings
from resample.engine.parallel.failure import ParallelEncodingFailed
from resample.engine.parallel.ring import ParallelResult, encode_in_parallel

__all__ = ["EncoderSettings", "ParallelEncodingFailed", "ParallelResult", "encode_in_parallel"]
