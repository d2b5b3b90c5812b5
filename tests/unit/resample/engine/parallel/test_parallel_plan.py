"""Where encoders start, for any number of them and any length."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resample.engine.parallel.plan import MINIMUM_FRAMES, START_GRID, VARIABLE_START_GRID, Plan

places = st.integers(0, 10**7)
ahead = st.integers(0, 2000)
workers = st.integers(2, 16)
grids = st.sampled_from([START_GRID, VARIABLE_START_GRID])


@given(workers, st.integers(1, 10**6), grids, places, ahead, st.none() | st.integers(0, 10**7))
def test_an_encoder_starts_ahead_of_all_others_and_on_the_grid(
    workers: int, longest: int, grid: int, done: int, ahead: int, end: int | None
) -> None:
    start = Plan(workers, longest, grid).next_start(done, done + ahead, end)

    if start is not None:
        assert start > done + ahead
        assert start % grid == 0
        assert start - done < max(longest, ahead + 1) + grid


@given(workers, grids, places, st.integers(0, 10**6))
def test_what_is_left_is_shared_out_evenly(workers: int, grid: int, done: int, left: int) -> None:
    start = Plan(workers, 10**6, grid).next_start(done, done, done + left)

    if left < workers * MINIMUM_FRAMES:
        assert start is None
    else:
        assert start is not None
        assert 0 <= start - done - left // workers < grid


def test_where_the_end_was_expected_nobody_starts() -> None:
    assert Plan(2, 5000, START_GRID).next_start(10_000, 10_100, 9_000) is None


@pytest.mark.parametrize("sample_rate", [44_100, 22_050, 11_025])
@pytest.mark.parametrize("kilobits", [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 192, 224, 256, 320])
def test_padding_repeats_with_the_grid(sample_rate: int, kilobits: int) -> None:
    slots_per_frame = (144 if sample_rate == 44_100 else 72) * 1000 * kilobits

    assert START_GRID * slots_per_frame % sample_rate == 0
