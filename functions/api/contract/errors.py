"""What each error code means, with one such error."""

from __future__ import annotations

from audiojobs.errors import (
    AlreadyDownloaded,
    AudioJobError,
    CorruptAudio,
    CrossOriginClaim,
    FileError,
    IdempotencyKeyReused,
    InternalError,
    InvalidRequest,
    JobNotFound,
    JobNotReady,
    LinkExpired,
    LinkLocked,
    NoAudio,
    PassphraseRequired,
    TimeLimit,
    TruncatedAudio,
    UnreadableUpload,
    UnsupportedFormat,
    UploadConflict,
    UploadIncomplete,
    UploadNotAwaited,
    UploadNotFound,
    UploadReplaced,
    UploadTooLarge,
    WrongPassphrase,
)

ERRORS: dict[type[AudioJobError], tuple[str, AudioJobError]] = {
    InvalidRequest: (
        "A field is missing, unknown, of the wrong type, or impossible with another. `field` names it.",
        InvalidRequest("size_bytes must be a whole number, 1 or more.", field="size_bytes"),
    ),
    CrossOriginClaim: (
        "A script of another site sent the claim. Its browser would not let it read the answer. The link still works.",
        CrossOriginClaim("A script of another site cannot read the answer. Let a form post to the link, or open it."),
    ),
    PassphraseRequired: (
        "The job has a passphrase. Send it with the claim; whoever sent you the link knows it. The link still works.",
        PassphraseRequired(),
    ),
    WrongPassphrase: (
        "`detail` says how many tries are left. The link still works.",
        WrongPassphrase("The passphrase is wrong. 9 tries are left."),
    ),
    LinkLocked: (
        "Ten passphrases were tried. Not even the right one opens the link now, until its owner renews it.",
        LinkLocked(),
    ),
    JobNotFound: ("The job does not exist, or the link is wrong. The answer never tells which.", JobNotFound()),
    JobNotReady: (
        "There is no result yet: ask again later. Or the conversion failed: `detail` says why.",
        JobNotReady(),
    ),
    UploadNotFound: ("No upload in parts was begun, or it was given up: begin it again.", UploadNotFound()),
    UploadNotAwaited: ("The job does not wait for a file any more.", UploadNotAwaited()),
    UploadIncomplete: (
        "Parts are missing; the call that begins the upload lists those that are there.",
        UploadIncomplete("2 of 12 parts are missing, the first is number 4."),
    ),
    UploadConflict: (
        "The upload was begun with another file, or somebody else replaced a part.",
        UploadConflict(),
    ),
    IdempotencyKeyReused: (
        "The job of this Idempotency-Key was made with other fields. Use a new key for another job.",
        IdempotencyKeyReused(),
    ),
    AlreadyDownloaded: ("The link has been used, or the file was deleted.", AlreadyDownloaded()),
    LinkExpired: ("Nobody uploaded or downloaded the file in time. Upload and result are deleted.", LinkExpired()),
    UploadTooLarge: (
        "Larger than the operator allows (MaxUploadMegabytes), or more sound than can be converted in the time limit.",
        UploadTooLarge("size_bytes may be at most 2048000000."),
    ),
    UploadReplaced: (
        "A newer upload of the same key replaced this one before it was read. The newer one has a job of its own.",
        UploadReplaced(),
    ),
    UnreadableUpload: (
        "The object is in an archive class of S3, or encrypted with a key that the service does not have.",
        UnreadableUpload("The file is in an archive class of S3. Restore it or upload it again as STANDARD."),
    ),
    UnsupportedFormat: ("The file is not in a supported audio format. Its name does not matter.", UnsupportedFormat()),
    NoAudio: ("The file is empty, has a header without sound, or is a video without a sound track.", NoAudio()),
    CorruptAudio: ("The file is damaged and cannot be decoded.", CorruptAudio()),
    TruncatedAudio: (
        "The file is shorter than it declares. `allow_partial` converts what is there, with this as a warning.",
        TruncatedAudio(),
    ),
    TimeLimit: ("The conversion did not finish within 15 minutes, three times.", TimeLimit()),
    InternalError: (
        "This is our fault. The upload is still there, and the operator can start the conversion again.",
        InternalError(),
    ),
}
"""What each code means, and one such error. ``job-busy`` appears in logs only."""

OF_A_JOB = (FileError, TimeLimit)
