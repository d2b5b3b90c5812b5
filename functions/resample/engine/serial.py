"""One ffmpeg process decodes, resamples and encodes."""

from __future__ import annotations

from resample.engine.encode_task import EncodeTask
from resample.engine.ffmpeg.arguments import encode_command
from resample.engine.ffmpeg.messages import FfmpegReport
from resample.engine.progress import Progress
from resample.sandbox.process import executable, run


def encode_serially(task: EncodeTask, progress: Progress) -> FfmpegReport:
    """Write the MP3. Raises what :func:`~resample.sandbox.process.run` and a progress callback raise."""
    report = FfmpegReport()
    with task.open_input() as (source, stdin):
        report.end(
            run(
                encode_command(
                    executable("ffmpeg"), source, task.container, task.probed, task.conversion, task.destination
                ),
                folder=task.folder,
                deadline=task.deadline,
                on_output=progress.feed,
                on_line=report.read_line,
                stdin=stdin,
                max_output_bytes=task.max_message_bytes,
            )
        )
    return report
