"""Where the stream may go over from one encoder to the next, and how.

Two encoders that wrote the same MPEG frames for a while are in the same state, and will write the same for ever. In
the measurements that stand behind :data:`AGREEMENT_FRAMES` (some hundred starts in music, 64 to 320 kbit/s) the
longest agreement that was an accident lasted 9 MPEG frames.

Everything must agree, with it the fill of the bit reservoir: what is encoded depends on it, at a variable bit rate too
where an MPEG frame is short of bits. Then the second encoder's bytes simply follow the first one's. At constant bit
rates the fills come together by themselves; at variable ones they would keep apart for minutes, so the layer's LAME
brings them to one level at regular places (:data:`~resample.engine.parallel.plan.VARIABLE_START_GRID`).
"""

from __future__ import annotations

from resample.engine.parallel.failure import ParallelEncodingFailed
from resample.engine.parallel.mpeg_stream import EncodedStream

AGREEMENT_FRAMES = 32
"""MPEG frames with sound that have to agree in a row. Silence proves nothing: every state encodes it alike."""

SILENT_AGREEMENT_FRAMES = 512
"""MPEG frames of any kind that are enough. The slowest memory in LAME, the adaptation of its threshold of hearing to
the loudness, moves by 7.5% in an MPEG frame and over its whole range in about 100."""


class Join:
    """Looks for the MPEG frame at which ``second`` can take over from ``first``. Ask :meth:`find` as they grow.

    ``written`` is the first MPEG frame that can still be changed: an encoder before these two may have gone on beyond
    the place where ``second`` began. What agrees in the first ``warm_up`` MPEG frames of ``second`` proves nothing.
    """

    def __init__(self, first: EncodedStream, second: EncodedStream, *, written: int = 0, warm_up: int = 0) -> None:
        self._first = first
        self._second = second
        self._written = written
        self._next = second.first + warm_up
        self._agreeing = 0
        self._agreeing_with_sound = 0
        self._room = 0  # bytes of main data in the MPEG frames of `first` that can still be changed

    def find(self) -> int | None:
        """The first MPEG frame to take from ``second``, once that is known."""
        first, second = self._first, self._second
        while self._next < min(first.end, second.end):
            index = self._next
            self._next += 1
            content = first.content(index)
            room = self._room
            if index >= self._written:
                area_start, area_end = first.main_data_area(index)
                self._room += area_end - area_start
            begin = first.main_data_begin(index)
            if begin != second.main_data_begin(index) or content != second.content(index):
                self._agreeing = self._agreeing_with_sound = 0
                continue
            self._agreeing += 1
            self._agreeing_with_sound += bool(content.main_data)
            proven = self._agreeing_with_sound >= AGREEMENT_FRAMES or self._agreeing >= SILENT_AGREEMENT_FRAMES
            if proven and index >= self._written and begin <= room:
                return index
        return None


def last_frames(first: EncodedStream, second: EncodedStream, begin: int, join: int) -> bytes:
    """MPEG frames ``begin`` to ``join`` of ``first``, ending with the main data with which ``second`` goes on.

    Raises :class:`ParallelEncodingFailed` if that main data reaches back before ``begin``.
    """
    data = first.slice(begin, join)
    origin = first.offset(begin)
    tail = second.main_data_before(join, second.main_data_begin(join))
    index = join
    while tail:
        index -= 1
        if index < begin:
            raise ParallelEncodingFailed("main data at a join reaches back too far")
        area_start, area_end = first.main_data_area(index)
        count = min(len(tail), area_end - area_start)
        data[area_end - count - origin : area_end - origin] = tail[-count:]
        tail = tail[:-count]
    return bytes(data)
