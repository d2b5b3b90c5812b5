"""Where the stream may go over from one encoder to the next, and how.

Two encoders that wrote the same MPEG frames for a while are in the same state, and will write the same for ever. In
the measurements that stand behind :data:`AGREEMENT_FRAMES` (some hundred starts in music, 64 to 320 kbit/s) the
longest agreement that was an accident lasted 9 MPEG frames.

At a constant bit rate everything must agree, with it the fill of the bit reservoir: then the second encoder's bytes
simply follow the first one's. At a variable one the reservoirs of two encoders keep apart for minutes, but what is
encoded hardly depends on them; so only that must agree, and the join takes the first MPEG frame at which the reservoir
that the first encoder leaves is at least what the second one needs. The few bytes between are wasted.

It does depend on them where an MPEG frame takes the largest bit rate and is still short of bits: LAME then makes do
with what is in the reservoir. Sound that asks for that again and again (V0, and loud) is joined only where the
reservoirs are equal; elsewhere a single MPEG frame may come out otherwise, as far from its source, long after a join.
"""

from __future__ import annotations

from collections import deque

from resample.parallel.failure import ParallelEncodingFailed
from resample.parallel.stream import EncodedStream

AGREEMENT_FRAMES = 32
"""MPEG frames with sound that have to agree in a row. Silence proves nothing: every state encodes it alike."""

SILENT_AGREEMENT_FRAMES = 512
"""MPEG frames of any kind that are enough. The slowest memory in LAME, the adaptation of its threshold of hearing to
the loudness, moves by 7.5% in an MPEG frame and over its whole range in about 100."""

SHORTAGE_FRAMES = 64
MANY_SHORTAGES = 16
"""Where so many of the last MPEG frames have the largest bit rate, variable rates are joined at equal reservoirs."""


class Join:
    """Looks for the MPEG frame at which ``second`` can take over from ``first``. Ask :meth:`find` as they grow.

    ``written`` is the first MPEG frame that can still be changed: an encoder before these two may have gone on beyond
    the place where ``second`` began.
    """

    def __init__(
        self, first: EncodedStream, second: EncodedStream, *, constant_bit_rate: bool, written: int = 0
    ) -> None:
        self._first = first
        self._second = second
        self._constant_bit_rate = constant_bit_rate
        self._written = written
        self._next = second.first
        self._agreeing = 0
        self._agreeing_with_sound = 0
        self._shortages: deque[bool] = deque(maxlen=SHORTAGE_FRAMES)
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
            begin, second_begin = first.main_data_begin(index), second.main_data_begin(index)
            self._shortages.append(second.has_largest_bit_rate(index))
            agrees = content == second.content(index)
            if self._constant_bit_rate or sum(self._shortages) >= MANY_SHORTAGES:
                agrees = agrees and begin == second_begin
            if not agrees:
                self._agreeing = self._agreeing_with_sound = 0
                continue
            self._agreeing += 1
            self._agreeing_with_sound += bool(content.main_data)
            proven = self._agreeing_with_sound >= AGREEMENT_FRAMES or self._agreeing >= SILENT_AGREEMENT_FRAMES
            if proven and index >= self._written and second_begin <= begin <= room:
                return index
        return None


def last_frames(first: EncodedStream, second: EncodedStream, begin: int, join: int) -> bytes:
    """MPEG frames ``begin`` to ``join`` of ``first``, ending with the main data with which ``second`` goes on.

    Raises :class:`ParallelEncodingFailed` if that main data reaches back before ``begin``.
    """
    data = first.slice(begin, join)
    origin = first.offset(begin)
    needed = second.main_data_begin(join)
    tail = second.main_data_before(join, needed)
    # What the reservoir holds beyond that belongs to nobody now; it is cleared with the rest.
    tail = bytes(first.main_data_begin(join) - needed) + tail
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
