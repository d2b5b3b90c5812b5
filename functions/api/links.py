"""One-time links: looking is free, exactly one claim wins.

An answer can get lost on its way, and the link would be spent for nothing. A claim may have a key for that, which only
its sender knows: asked again with it, the same claim is answered again for as long as its download window lasts. The
key is stored hashed together with the link's secret, so the record tells neither.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass

from api.jobs import why_not_ready
from audiojobs.announcements import Announcer
from audiojobs.errors import (
    AlreadyDownloaded,
    AudioJobError,
    JobNotFound,
    LinkLocked,
    PassphraseRequired,
    WrongPassphrase,
)
from audiojobs.job import Job, Status
from audiojobs.links import hash_secret, parse_token
from audiojobs.objects import ResultObjects
from audiojobs.passphrases import MAX_PASSPHRASE_TRIES, is_passphrase
from audiojobs.purges import PurgeSchedule
from audiojobs.settings import ApiSettings
from audiojobs.store import JobStore, Refused
from audiojobs.telemetry import logger


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim that was granted: the presigned URL of the result, and when it dies."""

    job: Job
    url: str
    expires_at: float


class Links:
    """What the holder of a token may do. A wrong secret and an unknown job are the same ``JobNotFound``."""

    def __init__(
        self,
        settings: ApiSettings,
        store: JobStore,
        results: ResultObjects,
        schedule: PurgeSchedule,
        announcer: Announcer,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._store = store
        self._results = results
        self._schedule = schedule
        self._announcer = announcer
        self._clock = clock

    def look(self, token: str) -> Job:
        """The job behind a link; nothing is changed. Raises :class:`~audiojobs.errors.JobNotFound`."""
        job_id, secret = parse_token(token) or ("", "")
        job = self._store.get_by_link(job_id, secret_hash=hash_secret(secret))
        if job is None:
            raise JobNotFound
        return job.seen_at(self._clock())

    def claim(self, token: str, *, key: str | None = None, passphrase: str | None = None) -> Claim:
        """Spend the link for a presigned URL that lives as long as the download window.

        The purge is scheduled before the claim is granted, so that nothing claimed is ever left lying. A claim that
        was granted needs its key alone, and no passphrase, to be answered again.
        Raises :class:`~audiojobs.errors.RequestError` with the reason for a refusal.
        """
        job = self.look(token)
        holder = hash_secret(f"{token}.{key}") if key else None
        if job.status is Status.CLAIMED and holder and hmac.compare_digest(holder, job.lease_holder or ""):
            return self._claim_again(job)
        if job.status is not Status.READY:
            raise why_not_ready(job)
        secret_hash = hash_secret(token.partition(".")[2])
        if job.passphrase_hash:
            self._require_passphrase(job, secret_hash, passphrase)
        window = self._settings.download_window_for(job.result.size_bytes if job.result else 0)
        # A second more than the window: a message that is early would only be sent again.
        self._schedule.add(job.id, delay_seconds=window + 1)
        # Before the link is spent: whatever fails up to here leaves it as it was.
        url = self._presign(job, window)
        now = self._clock()
        try:
            claimed = self._store.claim(
                job.id,
                now=now,
                secret_hash=secret_hash,
                purge_at=now + window,
                holder=holder,
            )
        except Refused as refused:
            raise why_not_ready(refused.job.seen_at(now)) if refused.job else JobNotFound() from refused
        self._tell_claimed(claimed)
        return Claim(claimed, url, claimed.purge_at or now)

    def _require_passphrase(self, job: Job, secret_hash: str, passphrase: str | None) -> None:
        """Count the try, then compare. Who tries none learns no more than that one is needed."""
        if passphrase is None:
            raise PassphraseRequired
        now = self._clock()
        try:
            counted = self._store.count_passphrase_try(
                job.id, now=now, secret_hash=secret_hash, most=MAX_PASSPHRASE_TRIES
            )
        except Refused as refused:
            current = refused.job.seen_at(now) if refused.job else None
            if current and current.status is Status.READY and current.passphrase_tries >= MAX_PASSPHRASE_TRIES:
                raise LinkLocked from refused
            raise why_not_ready(current) if current else JobNotFound() from refused
        if is_passphrase(passphrase, job.passphrase_hash or ""):
            return
        left = MAX_PASSPHRASE_TRIES - counted.passphrase_tries
        if left < 1:
            raise LinkLocked
        raise WrongPassphrase(f"The passphrase is wrong. {left} {'try is' if left == 1 else 'tries are'} left.")

    def _tell_claimed(self, job: Job) -> None:
        """The claim is granted, whatever becomes of its event: one that fails here goes out with the purge."""
        try:
            self._announcer.announce(job)
            self._store.end_claim_announcement(job.id)
        except (AudioJobError, Refused):
            logger().exception("the claim could not be announced", extra={"job_id": job.id})

    def _claim_again(self, job: Job) -> Claim:
        """A granted claim once more, for what is left of its window."""
        purge_at = job.purge_at or 0.0
        seconds_left = int(purge_at - self._clock())
        if seconds_left < 1:
            raise AlreadyDownloaded
        return Claim(job, self._presign(job, seconds_left), purge_at)

    def _presign(self, job: Job, seconds: int) -> str:
        return self._results.presign(job.result_key, filename=job.download_filename, expires_in_seconds=seconds)
