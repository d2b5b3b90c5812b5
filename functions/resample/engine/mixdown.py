"""Measures a mix of many channels into fewer, before it is encoded.

The weights of ITU-R BS.775 leave the front channels as they are and add the others: most mixes stay below full scale,
and a loud one has to be turned down by as much as it needs, which only the whole of it tells. Channels that are out of
phase cancel each other out, and nobody hears that in a file that nobody has heard yet.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from audiojobs.job import Notice
from resample.engine.encode_task import EncodeTask
from resample.engine.ffmpeg.arguments import measure_command, output_channels
from resample.sandbox.process import executable, run

_LOUDEST = 0.97  # of full scale: the resampler and the encoder overshoot a little
_CANCELLED_DB = 12.0
_SAFE_GAIN = 0.4142
_STATISTIC = re.compile(r"\[astats@(?P<place>\w+) @ .*\] (?P<name>RMS|Peak) level dB: (?P<value>-?[\d.]+|-?inf|nan)")


@dataclass(slots=True)
class _Levels:
    """In dB of full scale, by the place of the measurement and the name of the statistic."""

    values: dict[tuple[str, str], float] = field(default_factory=dict)

    def read_line(self, line: str) -> bool:
        if match := _STATISTIC.match(line):
            value = float(match["value"])
            self.values[match["place"], match["name"]] = -200.0 if value != value else max(-200.0, value)
        return False


def is_mixed_down(task: EncodeTask) -> bool:
    return task.probed.channels > output_channels(task.probed, task.conversion)


def measure_mixdown(task: EncodeTask) -> tuple[float, tuple[Notice, ...]]:
    """The gain that the mix needs, at most 1, and a warning where hardly anything is left of the sound.

    Decodes the whole source once more. Raises what :func:`~resample.sandbox.process.run` raises.
    """
    levels = _Levels()
    with task.open_input() as (source, stdin):
        run(
            measure_command(executable("ffmpeg"), source, task.container, task.probed, task.conversion),
            folder=task.folder,
            deadline=task.deadline,
            on_output=lambda _: None,
            on_line=levels.read_line,
            stdin=stdin,
        )
    before, after = levels.values.get(("before", "RMS")), levels.values.get(("after", "RMS"))
    peak = levels.values.get(("after", "Peak"))
    if before is None or after is None or peak is None:
        return _SAFE_GAIN, ()
    gain = min(1.0, _LOUDEST / 10 ** (peak / 20))
    if before > -100 and after < before - _CANCELLED_DB:
        return gain, (
            Notice(
                "channels-cancel",
                "Mixing the channels down cancels most of the sound, so the result is nearly silent: the channels are"
                " in opposite phase, or the sound is where a mix leaves it out. Please correct the phase and try again,"
                " or convert the file without mixing it down.",
            ),
        )
    return gain, ()
