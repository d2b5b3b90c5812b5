"""The MP3 file that the joined MPEG frames are written to."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from resample.engine.parallel.encoder_process import EncoderSettings
from resample.engine.parallel.failure import ParallelEncodingFailed
from resample.engine.parallel.info_header import Head, Music
from resample.engine.parallel.mpeg_stream import EncodedStream


class JoinedFile:
    """A seekable file: a gap for the head, then MPEG frames, and at last the head itself.

    ``read_head`` gives what there is so far of a short MP3 with the head that the file shall have. Nothing can be
    written before its length is known (:meth:`can_be_written`).
    """

    def __init__(self, destination: BinaryIO, read_head: Callable[[], bytes], settings: EncoderSettings) -> None:
        self._destination = destination
        self._read_head = read_head
        self._settings = settings
        self._head: Head | None = None
        self._music = Music()

    @property
    def mpeg_frames(self) -> int:
        """How many MPEG frames were written."""
        return self._music.mpeg_frames

    def can_be_written(self) -> bool:
        """Whether the length of the head is known.

        Raises :class:`ParallelEncodingFailed` if it is the head of another kind of MP3.
        """
        if self._head is None:
            self._head = Head.parse(self._read_head())
            if self._head is not None:
                expected = self._settings.sample_rate, self._settings.channels
                if (self._head.sample_rate, self._head.channels) != expected:
                    raise ParallelEncodingFailed("the head is of another kind of MP3")
                self._destination.seek(self._head.size_bytes)
        return self._head is not None

    def write(self, stream: EncodedStream, end: int, data: bytes | None = None) -> None:
        """Write the MPEG frames of ``stream`` up to ``end``; ``data`` are their bytes where main data was exchanged.

        Raises :class:`ParallelEncodingFailed` if the length of the head is not known.
        """
        if not self.can_be_written():
            raise ParallelEncodingFailed("the head has no Xing/Info tag")
        begin = self.mpeg_frames
        content = bytes(stream.slice(begin, end)) if data is None else data
        self._destination.write(content)
        self._music.append(content, stream.lengths(begin, end))

    def finish(self, sample_frames: int) -> int:
        """Write the head of a file with so much sound. Returns the size of the file in bytes.

        Raises :class:`ParallelEncodingFailed` if the head is not complete, or does not suit the MPEG frames.
        """
        head = Head.parse(self._read_head())
        if self._head is None or head is None or head.size_bytes != self._head.size_bytes:
            raise ParallelEncodingFailed("the head has no Xing/Info tag")
        self._destination.seek(0)
        self._destination.write(head.finished(self._music, sample_frames))
        self._destination.flush()
        return head.size_bytes + self._music.size_bytes
