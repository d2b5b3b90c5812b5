"""DSD files, from their specifications: DSF (Sony) and DSDIFF (Philips)."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from tests.audio.headers import Samples

BLOCK_BYTES = 4096


def dsd_bits(samples: Samples) -> NDArray[np.uint8]:
    """Sigma-delta modulation of first order: a bit for each sample frame of each channel."""
    density = np.floor(np.cumsum((samples + 1) / 2, axis=0))
    return np.diff(density, axis=0, prepend=0).astype(np.uint8)


def dsd_tone(
    seconds: float, rate: int, channels: int = 2, frequency: float = 1000.0, amplitude: float = 0.25
) -> Samples:
    """The same tone on every channel, turned up and down at the ends."""
    count = round(seconds * rate)
    fade = np.clip(np.minimum(np.arange(count), np.arange(count)[::-1]) / (0.02 * rate), 0, 1)
    column = amplitude * fade * np.sin(2 * np.pi * frequency * np.arange(count) / rate)
    return np.repeat(column[:, None], channels, axis=1)


def dsf(samples: Samples, rate: int) -> bytes:
    """Blocks of 4096 bytes for each channel in turn; the first bit of a byte is its lowest."""
    bits, channels = dsd_bits(samples), samples.shape[1]
    packed = np.packbits(bits, axis=0, bitorder="little")
    padded = np.pad(packed, ((0, -len(packed) % BLOCK_BYTES), (0, 0)), constant_values=0x69)
    data = padded.reshape(-1, BLOCK_BYTES, channels).transpose(0, 2, 1).tobytes()
    fields = (1, 0, {1: 1, 2: 2, 6: 7}[channels], channels, rate, 1, len(bits), BLOCK_BYTES, 0)
    form = b"fmt " + struct.pack("<Q6IQ2I", 52, *fields)
    size = 28 + 52 + 12 + len(data)
    return b"DSD " + struct.pack("<3Q", 28, size, 0) + form + b"data" + struct.pack("<Q", 12 + len(data)) + data


def dff(samples: Samples, rate: int) -> bytes:
    """A byte of each channel in turn; the first bit of a byte is its highest."""
    packed = np.packbits(dsd_bits(samples), axis=0, bitorder="big")

    def chunk(name: bytes, body: bytes) -> bytes:
        return name + struct.pack(">Q", len(body)) + body + bytes(len(body) & 1)

    names = (b"SLFT", b"SRGT") if samples.shape[1] == 2 else (b"C000",)
    properties = (
        chunk(b"FS  ", struct.pack(">I", rate)),
        chunk(b"CHNL", struct.pack(">H", samples.shape[1]) + b"".join(names)),
        chunk(b"CMPR", b"DSD \x0enot compressed"),
    )
    body = (
        chunk(b"FVER", b"\1\5\0\0") + chunk(b"PROP", b"SND " + b"".join(properties)) + chunk(b"DSD ", packed.tobytes())
    )
    return b"FRM8" + struct.pack(">Q", 4 + len(body)) + b"DSD " + body
