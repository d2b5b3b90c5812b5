"""What each error code means, with one such error."""

from __future__ import annotations

from audiojobs.errors import (
    AlreadyDownloaded,
    AudioJobError,
    CorruptAudio,
    FileError,
    InternalError,
    InvalidRequest,
    JobNotFound,
    JobNotReady,
    LinkExpired,
    NoAudio,
    TimeLimit,
    TruncatedAudio,
    UnsupportedFormat,
    UploadReplaced,
    UploadTooLarge,
)

ERRORS: dict[type[AudioJobError], tuple[str, AudioJobError]] = {
    InvalidRequest: (
        "A field is missing, unknown, of the wrong type, or impossible with another; `field` names it.",
        InvalidRequest("size_bytes must be a whole number, 1 or more.", field="size_bytes"),
    ),
    JobNotFound: ("No such job, or a link whose secret is wrong: the two are never told apart.", JobNotFound()),
    JobNotReady: (
        "There is no result yet, so ask again later; or the conversion failed, and `detail` says why.",
        JobNotReady(),
    ),
    AlreadyDownloaded: ("The link is spent, or the file was deleted.", AlreadyDownloaded()),
    LinkExpired: ("Nobody came in time; upload and result are deleted.", LinkExpired()),
    UploadTooLarge: (
        "More than the operator allows (the parameter MaxUploadMegabytes).",
        UploadTooLarge("size_bytes may be at most 2048000000."),
    ),
    UploadReplaced: (
        "A newer upload of the same key came before this one was read; it has a job of its own.",
        UploadReplaced(),
    ),
    UnsupportedFormat: ("Not an audio format that is read here, whatever its name says.", UnsupportedFormat()),
    NoAudio: ("An empty file, a header without sound, or a video without a sound track.", NoAudio()),
    CorruptAudio: ("Damaged beyond decoding.", CorruptAudio()),
    TruncatedAudio: (
        "Shorter than the file itself declares; `allow_partial` takes what there is, with this as a warning.",
        TruncatedAudio(),
    ),
    TimeLimit: ("Not done in the 15 minutes that a function has, three times.", TimeLimit()),
    InternalError: (
        "Our fault; the upload is still there, and the operator can send the event again.",
        InternalError(),
    ),
}
"""What each code means, and one such error. ``job-busy`` is for logs alone: no caller meets it."""

OF_A_JOB = (FileError, TimeLimit)
