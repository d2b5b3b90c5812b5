"""PCM under every header that its formats allow, written from their specifications with nothing but arithmetic.

:data:`HEADERS` makes whole files, the same each time. What must come out of them is for others to say: they are decoded
by libsndfile in :mod:`tests.integration.test_against_libsndfile`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]
"""Sample frames by channels, full scale being 1."""

Order = Literal["<", ">"]
Law = Literal["a", "mu"]
SAMPLE_RATE = 32_000
SECONDS = 0.35
ODD_SAMPLE_FRAMES = 11_201

_GUID_REST = bytes.fromhex("0000 0000 1000 8000 00aa 0038 9b71")[2:]
_W64_RIFF = bytes.fromhex("72696666 2e91 cf11 a5d6 28db04c10000")
_W64_REST = bytes.fromhex("f3ac d311 8cd1 00c04f8edb8a")


def sweeps(channels: int = 1, *, sample_frames: int | None = None, sample_rate: int = SAMPLE_RATE) -> Samples:
    """A sweep of its own on every channel, at a level of its own: a shift, a swap or a wrong byte order shows."""
    count = round(SECONDS * sample_rate) if sample_frames is None else sample_frames
    seconds = np.arange(count) / sample_rate
    length = count / sample_rate
    fade = np.clip(np.minimum(np.arange(count), np.arange(count)[::-1]) / (0.02 * sample_rate), 0, 1)
    columns = []
    for channel in range(channels):
        low, high = 300 + 170 * channel, 2600 + 230 * channel
        phase = 2 * np.pi * (low * seconds + (high - low) * seconds**2 / (2 * length))
        columns.append(0.3 * 0.93**channel * fade * np.sin(phase))
    return np.stack(columns, axis=1)


def whole_numbers(samples: Samples, bits: int, size: int, order: Order = "<", *, is_unsigned: bool = False) -> bytes:
    """``bits`` at the upper end of ``size`` bytes each."""
    numbers = np.rint(samples * (2 ** (bits - 1) - 1)).astype(np.int64) << (8 * size - bits)
    if is_unsigned:
        numbers += 1 << (8 * size - 1)
    pieces = numbers.astype("<i8").reshape(-1, 1).view(np.uint8)[:, :size]
    return bytes((pieces if order == "<" else pieces[:, ::-1]).tobytes())


def floats(samples: Samples, size: int, order: Order = "<") -> bytes:
    return samples.astype(f"{order}f{size}").tobytes()


def companded(samples: Samples, law: Law) -> bytes:
    """ITU-T G.711."""
    linear = np.rint(samples * 32767).astype(np.int64)
    return (_a_law(linear) if law == "a" else _mu_law(linear)).astype(np.uint8).tobytes()


def _mu_law(linear: NDArray[np.int64]) -> NDArray[np.int64]:
    magnitude = np.minimum(np.abs(linear), 32635) + 132
    exponent = np.floor(np.log2(magnitude)).astype(np.int64) - 7
    mantissa = magnitude >> (exponent + 3) & 15
    return np.asarray(~(np.where(linear < 0, 128, 0) | exponent << 4 | mantissa) & 255, np.int64)


def _a_law(linear: NDArray[np.int64]) -> NDArray[np.int64]:
    magnitude = np.where(linear < 0, -linear - 1, linear) >> 3
    exponent = np.maximum(np.floor(np.log2(np.maximum(magnitude, 1))).astype(np.int64) - 4, 0)
    mantissa = np.where(exponent == 0, magnitude >> 1, magnitude >> np.maximum(exponent, 1)) & 15
    return np.asarray((np.where(linear < 0, 0, 128) | exponent << 4 | mantissa) ^ 0x55, np.int64)


@dataclass(frozen=True, slots=True)
class Form:
    """A WAVE format: ``tag`` 1 for whole numbers, 3 for floats, 6 and 7 for A-law and mu-law.

    ``bits`` are what the field says. ``valid_bits`` makes it EXTENSIBLE, with ``mask`` for its loudspeakers.
    """

    tag: int
    channels: int
    bits: int
    size: int
    valid_bits: int | None = None
    mask: int = 0
    sample_rate: int = SAMPLE_RATE

    def chunk(self, order: Order) -> bytes:
        align = self.channels * self.size
        tag = self.tag if self.valid_bits is None else 0xFFFE
        head = struct.pack(
            order + "HHIIHH", tag, self.channels, self.sample_rate, self.sample_rate * align, align, self.bits
        )
        if self.valid_bits is None:
            return head if self.tag == 1 else head + bytes(2)
        return (
            head
            + struct.pack(order + "HHI", 22, self.valid_bits, self.mask)
            + (struct.pack(order + "IHH", self.tag, 0, 16) + bytes.fromhex("800000aa00389b71"))
        )


@dataclass(frozen=True, slots=True)
class Layout:
    """What stands around the PCM of a WAV file: chunks before and after it, and sizes that are not the truth."""

    before: tuple[tuple[bytes, bytes], ...] = ()
    after: tuple[tuple[bytes, bytes], ...] = ()
    data_size: int | None = None
    riff_size: int | None = None
    is_padded: bool = True


PLAIN = Layout()


def wav(kind: str, form: Form, data: bytes, layout: Layout = PLAIN) -> bytes:
    """A file of ``kind`` RIFF, RIFX, RF64, BW64 or W64."""
    if kind == "W64":
        return _w64(form, data)
    order: Order = ">" if kind == "RIFX" else "<"
    is_long = kind in ("RF64", "BW64")

    def chunk(name: bytes, body: bytes, size: int | None = None) -> bytes:
        padding = bytes(len(body) & 1) if layout.is_padded else b""
        return name + struct.pack(order + "I", len(body) if size is None else size) + body + padding

    pieces = [
        *(chunk(*item) for item in layout.before),
        chunk(b"fmt ", form.chunk(order)),
        chunk(b"data", data, 0xFFFFFFFF if is_long else layout.data_size),
        *(chunk(*item) for item in layout.after),
    ]
    body = b"".join(pieces)
    if is_long:
        sample_frames = len(data) // (form.channels * form.size)
        body = chunk(b"ds64", struct.pack("<QQQI", 4 + 36 + len(body), len(data), sample_frames, 0)) + body
    size = 0xFFFFFFFF if is_long else 4 + len(body) if layout.riff_size is None else layout.riff_size
    return kind.encode() + struct.pack(order + "I", size) + b"WAVE" + body


def _w64(form: Form, data: bytes) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return name + _W64_REST + struct.pack("<Q", 24 + len(body)) + body + bytes(-len(body) % 8)

    body = chunk(b"fmt ", form.chunk("<")) + chunk(b"data", data)
    return _W64_RIFF + struct.pack("<Q", 40 + len(body)) + b"wave" + _W64_REST + body


def aiff(
    samples: Samples,
    data: bytes,
    bits: int,
    *,
    compression: bytes | None = None,
    sample_rate: int = SAMPLE_RATE,
    chunks: tuple[bytes, ...] = (),
) -> bytes:
    """AIFF, or AIFF-C with a four-letter ``compression``; ``chunks`` stand before the sound."""
    count, channels = samples.shape
    exponent = sample_rate.bit_length() - 1
    rate = struct.pack(">HQ", 16383 + exponent, sample_rate << 63 - exponent)
    common = struct.pack(">hIh", channels, count, bits) + rate + ((compression + b"\0\0") if compression else b"")

    def chunk(name: bytes, body: bytes) -> bytes:
        return name + struct.pack(">I", len(body)) + body + bytes(len(body) & 1)

    version = chunk(b"FVER", struct.pack(">I", 0xA2805140)) if compression else b""
    body = version + chunk(b"COMM", common) + b"".join(chunks) + chunk(b"SSND", bytes(8) + data)
    form = b"AIFC" if compression else b"AIFF"
    return b"FORM" + struct.pack(">I", 4 + len(body)) + form + body


def au(samples: Samples, data: bytes, encoding: int, *, size: int | None = None, note: bytes = bytes(4)) -> bytes:
    """Sun AU."""
    fields = (24 + len(note), len(data) if size is None else size, encoding, SAMPLE_RATE, samples.shape[1])
    return b".snd" + struct.pack(">5I", *fields) + note + data


def caf(
    samples: Samples, data: bytes, kind: bytes, flags: int, size: int, bits: int, *, is_open: bool = False
) -> bytes:
    """Apple CAF; ``flags`` 1 for floats, 2 for little-endian. ``is_open``: the length was never written."""
    channels = samples.shape[1]
    description = struct.pack(">d4s5I", SAMPLE_RATE, kind, flags, size * channels, 1, channels, bits)

    def chunk(name: bytes, body: bytes, length: int) -> bytes:
        return name + struct.pack(">q", length) + body

    sound = chunk(b"data", bytes(4) + data, -1 if is_open else 4 + len(data))
    return b"caff\0\1\0\0" + chunk(b"desc", description, len(description)) + sound


@dataclass(frozen=True, slots=True)
class Case:
    """A file and what was written into it."""

    name: str
    content: bytes
    samples: Samples = field(repr=False)


WAV_KINDS = ("RIFF", "RIFX", "RF64", "BW64", "W64")
LAWS: tuple[tuple[Law, int], ...] = (("a", 6), ("mu", 7))
MASKS = {1: 4, 2: 3}  # in front of the listener; left and right


def _order(kind: str) -> Order:
    return ">" if kind == "RIFX" else "<"


def _plain_wav(kind: str) -> Iterator[Case]:
    number = WAV_KINDS.index(kind)
    order = _order(kind)
    for bits in range(8, 33):
        channels = 1 + (bits + number) % 2
        samples, size = sweeps(channels), (bits + 7) // 8
        data = whole_numbers(samples, bits, size, order, is_unsigned=size == 1)
        yield Case(f"{kind}-{bits}-bit-{channels}ch", wav(kind, Form(1, channels, bits, size), data), samples)
    for channels in (1, 2):
        samples = sweeps(channels)
        for size in (4, 8):
            content = wav(kind, Form(3, channels, 8 * size, size), floats(samples, size, order))
            yield Case(f"{kind}-float{8 * size}-{channels}ch", content, samples)
        for law, tag in LAWS:
            content = wav(kind, Form(tag, channels, 8, 1), companded(samples, law))
            yield Case(f"{kind}-{law}-law-{channels}ch", content, samples)


def _extensible_wav(kind: str) -> Iterator[Case]:
    number = WAV_KINDS.index(kind)
    order = _order(kind)
    for size in (1, 2, 3, 4):
        widths = {8 * size, 8 * size - 1, 8 * size - 4, *range(8, 8 * size, 4)}
        for count, valid_bits in enumerate(bits for bits in sorted(widths) if bits >= 8):
            channels = 1 + (count + number) % 2
            samples = sweeps(channels)
            data = whole_numbers(samples, valid_bits, size, order, is_unsigned=size == 1)
            form = Form(1, channels, 8 * size, size, valid_bits, MASKS[channels])
            name = f"{kind}-extensible-{valid_bits}-in-{8 * size}-{channels}ch"
            yield Case(name, wav(kind, form, data), samples)
    for channels, size in ((1, 4), (2, 8)):
        samples = sweeps(channels)
        form = Form(3, channels, 8 * size, size, 8 * size, MASKS[channels])
        content = wav(kind, form, floats(samples, size, order))
        yield Case(f"{kind}-extensible-float{8 * size}-{channels}ch", content, samples)


def _loudspeakers() -> Iterator[Case]:
    """One or two channels are what they are, wherever they are said to stand."""
    for mask in (0, 1, 2, 4, 8, 0x10, 0x100, 0x40000, 0x80000000):
        samples = sweeps(1)
        content = wav("RIFF", Form(1, 1, 16, 2, 16, mask), whole_numbers(samples, 16, 2))
        yield Case(f"mask-{mask:x}-1ch", content, samples)
    for mask in (0, 3, 5, 6, 0xC, 0x30, 0xC0, 0x600, 0x60000000, 0x80000000, 0x3F, 0x3):
        samples = sweeps(2)
        content = wav("RIFF", Form(1, 2, 24, 3, 24, mask), whole_numbers(samples, 24, 3))
        yield Case(f"mask-{mask:x}-2ch", content, samples)


def _surroundings() -> Iterator[Case]:
    odd, one = sweeps(1, sample_frames=ODD_SAMPLE_FRAMES), Form(1, 1, 8, 1)
    eight = whole_numbers(odd, 8, 1, is_unsigned=True)
    three, wide = whole_numbers(odd, 24, 3), Form(1, 1, 24, 3)
    junk = ((b"JUNK", b"x" * 27), (b"bext", b"y" * 603))
    info = ((b"LIST", b"INFOISFT\x04\0\0\0test"),)
    layouts = {
        "odd": Layout(),
        "odd-unpadded": Layout(is_padded=False),
        "odd-between-chunks": Layout(before=junk, after=info),
        "riff-size-0": Layout(riff_size=0),
        "riff-size-ones": Layout(riff_size=0xFFFFFFFF),
        "data-size-ones": Layout(data_size=0xFFFFFFFF, riff_size=0xFFFFFFFF, is_padded=False),
        "data-size-largest-signed": Layout(data_size=0x7FFFFFFF, riff_size=0x7FFFFFFF, is_padded=False),
    }
    for name, layout in layouts.items():
        yield Case(f"{name}-8-bit", wav("RIFF", one, eight, layout), odd)
        yield Case(f"{name}-24-bit", wav("RIFF", wide, three, layout), odd)
    for kind in ("RIFX", "RF64", "W64"):
        yield Case(f"odd-8-bit-{kind}", wav(kind, one, eight), odd)
        yield Case(f"odd-24-bit-{kind}", wav(kind, wide, whole_numbers(odd, 24, 3, _order(kind))), odd)


def _aiff() -> Iterator[Case]:
    for bits in range(8, 33):
        channels, size = 1 + bits % 2, (bits + 7) // 8
        samples = sweeps(channels)
        data = whole_numbers(samples, bits, size, ">")
        yield Case(f"AIFF-{bits}-bit-{channels}ch", aiff(samples, data, bits), samples)
        if bits % 4 == 0:
            yield Case(f"AIFC-NONE-{bits}-bit-{channels}ch", aiff(samples, data, bits, compression=b"NONE"), samples)
            swapped = whole_numbers(samples, bits, size, "<")
            yield Case(f"AIFC-sowt-{bits}-bit-{channels}ch", aiff(samples, swapped, bits, compression=b"sowt"), samples)
    for channels in (1, 2):
        samples = sweeps(channels)
        coded = {
            (b"twos", 16): whole_numbers(samples, 16, 2, ">"),
            (b"in24", 24): whole_numbers(samples, 24, 3, ">"),
            (b"in32", 32): whole_numbers(samples, 32, 4, ">"),
            (b"42ni", 24): whole_numbers(samples, 24, 3, "<"),
            (b"23ni", 32): whole_numbers(samples, 32, 4, "<"),
            (b"raw ", 8): whole_numbers(samples, 8, 1, is_unsigned=True),
            (b"fl32", 32): floats(samples, 4, ">"),
            (b"FL32", 32): floats(samples, 4, ">"),
            (b"fl64", 64): floats(samples, 8, ">"),
            (b"FL64", 64): floats(samples, 8, ">"),
            (b"alaw", 16): companded(samples, "a"),
            (b"ulaw", 16): companded(samples, "mu"),
        }
        for (compression, bits), data in coded.items():
            content = aiff(samples, data, bits, compression=compression)
            yield Case(f"AIFC-{compression.decode().strip()}-{bits}-{channels}ch", content, samples)
    odd = sweeps(1, sample_frames=ODD_SAMPLE_FRAMES)
    note = b"ANNO" + struct.pack(">I", 5) + b"hello\0"
    for size in (1, 3):
        content = aiff(odd, whole_numbers(odd, 8 * size, size, ">"), 8 * size, chunks=(note,))
        yield Case(f"AIFF-odd-{8 * size}-bit", content, odd)


def _au() -> Iterator[Case]:
    for channels in (1, 2):
        samples = sweeps(channels)
        coded = {
            1: companded(samples, "mu"),
            **{1 + size: whole_numbers(samples, 8 * size, size, ">") for size in (1, 2, 3, 4)},
            6: floats(samples, 4, ">"),
            7: floats(samples, 8, ">"),
            27: companded(samples, "a"),
        }
        for encoding, data in coded.items():
            yield Case(f"AU-{encoding}-{channels}ch", au(samples, data, encoding), samples)
            yield Case(f"AU-{encoding}-{channels}ch-streamed", au(samples, data, encoding, size=0xFFFFFFFF), samples)
        content = au(samples, coded[3], 3, note=b"an odd note of its own\0")
        yield Case(f"AU-odd-note-{channels}ch", content, samples)


def _caf() -> Iterator[Case]:
    for channels in (1, 2):
        samples = sweeps(channels)
        orders: tuple[tuple[int, Order], ...] = ((0, ">"), (2, "<"))
        for flag, order in orders:
            for size in (1, 2, 3, 4):
                data = whole_numbers(samples, 8 * size, size, order)
                content = caf(samples, data, b"lpcm", flag, size, 8 * size)
                yield Case(f"CAF-{8 * size}-bit{order}-{channels}ch", content, samples)
            for size in (4, 8):
                data = floats(samples, size, order)
                content = caf(samples, data, b"lpcm", flag | 1, size, 8 * size)
                yield Case(f"CAF-float{8 * size}{order}-{channels}ch", content, samples)
        for law, _ in LAWS:
            content = caf(samples, companded(samples, law), {"a": b"alaw", "mu": b"ulaw"}[law], 0, 1, 8)
            yield Case(f"CAF-{law}-law-{channels}ch", content, samples)
        content = caf(samples, whole_numbers(samples, 16, 2, ">"), b"lpcm", 0, 2, 16, is_open=True)
        yield Case(f"CAF-open-{channels}ch", content, samples)


HEADERS: Mapping[str, Callable[[], Iterator[Case]]] = {
    **{f"{kind} plain": partial(_plain_wav, kind) for kind in WAV_KINDS},
    **{f"{kind} extensible": partial(_extensible_wav, kind) for kind in WAV_KINDS},
    "loudspeakers": _loudspeakers,
    "odd sizes": _surroundings,
    "AIFF": _aiff,
    "AU": _au,
    "CAF": _caf,
}
"""Every width from 8 to 32 bits, floats, G.711, valid bits, byte orders, loudspeakers, odd sizes: cases by kind."""
