"""The gain of a mix, from what ffmpeg measures before and after it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from audiojobs.conversion import Conversion
from resample.engine.encode_task import EncodeTask
from resample.engine.ffmpeg.probe_result import ProbeResult
from resample.engine.mixdown import is_mixed_down, measure_mixdown
from resample.formats.containers import WAV
from tests.unit.resample.engine.conftest import Programs

Measure = Callable[..., tuple[float, list[str]]]


def task(folder: Path, channels: int = 6, wanted: int | None = None) -> EncodeTask:
    probed = ProbeResult("pcm_s16le", 48_000, channels, "s16", "5.1", 10.0, None)
    deadline = time.monotonic() + 600
    return EncodeTask(folder / "x", WAV, probed, Conversion(channels=wanted), folder / "y", folder, deadline)


@pytest.fixture
def measure(programs: Programs, tmp_path: Path) -> Measure:
    def measure(*, before: str | None, after: str | None, peak: str | None) -> tuple[float, list[str]]:
        for place, name, value in (("before", "RMS", before), ("after", "RMS", after), ("after", "Peak", peak)):
            if value is not None:
                programs.messages += f"[astats@{place} @ 0x55d0a1] [info] {name} level dB: {value}\n"
        programs.install()
        gain, warnings = measure_mixdown(task(tmp_path))
        return gain, [warning.code for warning in warnings]

    return measure


@pytest.mark.parametrize(
    ("channels", "wanted", "expected"),
    [(6, None, True), (3, None, True), (2, None, False), (1, None, False), (2, 1, True), (1, 2, False), (6, 2, True)],
)
def test_what_is_mixed_down(tmp_path: Path, channels: int, wanted: int | None, expected: bool) -> None:
    assert is_mixed_down(task(tmp_path, channels, wanted)) is expected


@pytest.mark.parametrize(
    ("peak", "gain"),
    [("-20.0", 1.0), ("-0.3", 1.0), ("0.0", 0.97), ("6.0206", 0.485), ("20.0", 0.097)],
)
def test_a_loud_mix_is_turned_down_to_just_below_full_scale(measure: Measure, peak: str, gain: float) -> None:
    measured, warnings = measure(before="-18.0", after="-16.0", peak=peak)

    assert measured == pytest.approx(gain, rel=1e-4)
    assert warnings == []


@pytest.mark.parametrize(
    ("before", "after", "is_told"),
    [
        ("-18.0", "-29.9", False),
        ("-18.0", "-30.1", True),
        ("-18.0", "-inf", True),
        ("-18.0", "nan", True),
        ("-100.5", "-inf", False),
        ("-inf", "-inf", False),
    ],
    ids=["hardly", "12 dB", "all of it", "nothing left", "silence", "digital silence"],
)
def test_channels_that_cancel_are_told(measure: Measure, before: str, after: str, is_told: bool) -> None:
    assert measure(before=before, after=after, peak="-40.0") == (1.0, ["channels-cancel"] if is_told else [])


@pytest.mark.parametrize("missing", ["before", "after", "peak"])
def test_what_could_not_be_measured_cannot_clip(measure: Measure, missing: str) -> None:
    """5.1: 1 + 0.7071 + 0.7071 at most."""
    gain, warnings = measure(**{"before": "-18.0", "after": "-18.0", "peak": "9.0", missing: None})

    assert gain == pytest.approx(1 / (1 + 2 * 0.7071), rel=1e-3)
    assert warnings == []
