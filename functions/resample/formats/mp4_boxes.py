"""The boxes of an MP4 or QuickTime file, one in another (ISO/IEC 14496-12, QuickTime File Format)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from resample.formats.reader import Reader

_MAX_BOXES = 2000


@dataclass(frozen=True, slots=True)
class Box:
    """``body`` and ``end`` are places in the file: behind the header, and behind the box."""

    name: bytes
    body: int
    end: int


class Boxes:
    """The boxes of one file, of which at most so many are looked at as no honest one has."""

    def __init__(self, read: Reader, size_bytes: int, start: int) -> None:
        self.read = read
        self._file = Box(b"", start, size_bytes)
        self._left = _MAX_BOXES

    def find(self, *path: bytes, within: Box | None = None) -> Iterator[Box]:
        """The boxes at a path of names, from the file's top or from ``within``."""
        for box in self.inside(within or self._file):
            if box.name == path[0]:
                if len(path) == 1:
                    yield box
                else:
                    yield from self.find(*path[1:], within=box)

    def inside(self, outer: Box, skip_bytes: int = 0) -> Iterator[Box]:
        """The boxes in a box, behind the first ``skip_bytes`` of its body."""
        offset = outer.body + skip_bytes
        while offset + 8 <= outer.end and self._left > 0:
            self._left -= 1
            header = self.read(offset, 16)
            size, body = int.from_bytes(header[:4], "big"), offset + 8
            if size == 1 and len(header) == 16:
                size, body = int.from_bytes(header[8:], "big"), offset + 16
            if size and size < 8:
                return
            end = outer.end if size == 0 else offset + size
            yield Box(header[4:8], body, min(end, outer.end))
            offset = end

    def number(self, box: Box, offset: int, size_bytes: int) -> int:
        """A whole number at ``offset`` of a box's body; 0 behind the end of the box."""
        is_inside = box.body + offset + size_bytes <= box.end
        return int.from_bytes(self.read(box.body + offset, size_bytes), "big") if is_inside else 0

    def sample_entries(self) -> Iterator[Box]:
        """The entries of all tracks' sample descriptions."""
        for description in self.find(b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"):
            yield from self.inside(description, skip_bytes=8)
