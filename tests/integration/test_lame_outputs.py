"""The layer's LAME writes the bytes of the LAME that it was before it was made faster.

Whatever a patch in layers/ffmpeg/lame-patches/ speeds up, not one bit of one output may change. The table was made by
LAME 3.100 with nothing but the two patches that change bytes, lame-01-reservoir.patch and lame-12-stuffing.patch, and
lame-02-crc-and-divisions.patch.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.integration import lame_outputs


def versions(bin_dir: Path) -> dict[str, str]:
    lines = (bin_dir.parent / "share/ffmpeg-layer/versions.txt").read_text().splitlines()
    return dict(line.split(" ", 1) for line in lines)


def processor_vendor() -> str:
    """As /proc/cpuinfo says it; nothing where processors do not say it."""
    found = re.search(r"(?m)^vendor_id\s*: (\S+)$", Path("/proc/cpuinfo").read_text())
    return found[1] if found else ""


def test_every_rate_has_the_bytes_of_the_slower_lame(own_bin_dir: Path) -> None:
    built = versions(own_bin_dir)
    table = lame_outputs.expected().get(built["lame_flags"])
    if table is None:
        pytest.skip(f"the table has no outputs of a LAME compiled with {built['lame_flags']}")

    found = lame_outputs.digests([own_bin_dir / "lame-frames"])

    assert found.keys() | {"gcc", "processor"} == table.keys()
    changed = sorted(case for case in found if found[case] != table[case])
    if changed and built["gcc"] != table["gcc"]:
        pytest.skip(
            f"{len(changed)} of {len(found)} outputs are not those of gcc {table['gcc']}: this LAME is of "
            f"gcc {built['gcc']}, and each compiler puts float operations in an order of its own"
        )
    if changed and processor_vendor() != table["processor"]:
        pytest.skip(
            f"{len(changed)} of {len(found)} outputs are not those of a processor of {table['processor']}: vrcpps, "
            f"which gcc divides with, is an approximation that differs between vendors ({processor_vendor()} here)"
        )
    assert not changed, f"{len(changed)} of {len(found)} outputs have other bytes (sample rate, channels, rate)"
