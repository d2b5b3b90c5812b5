"""The jobs table: uploads in parts, further links, tries of a passphrase, and lists."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from audiojobs import clients
from audiojobs.errors import InternalError
from audiojobs.job import Job, MultipartUpload, Status
from audiojobs.store import JobStore, Refused
from tests.unit.audiojobs.test_store import NOW, stored
from tests.unit.samples import direct_job

FIRST = MultipartUpload("first", 100, 10, "hash")
SECOND = MultipartUpload("second", 100, 10)


class TestUploadInParts:
    @pytest.mark.parametrize("status", [Status.AWAITING_UPLOAD, Status.FAILED], ids=str)
    def test_is_noted_once(self, store: JobStore, status: Status) -> None:
        job = stored(store, status)

        noted = store.begin_multipart(job.id, FIRST, replaces=None, now=NOW)

        assert noted == replace(job, multipart=FIRST) == store.get(job.id)
        with pytest.raises(Refused) as refusal:
            store.begin_multipart(job.id, SECOND, replaces=None, now=NOW)
        assert refusal.value.job == noted

    def test_takes_the_place_of_one_that_is_gone(self, store: JobStore) -> None:
        job = stored(store, multipart=FIRST)

        with pytest.raises(Refused):
            store.begin_multipart(job.id, SECOND, replaces=replace(FIRST, upload_id="another"), now=NOW)
        assert store.begin_multipart(job.id, SECOND, replaces=FIRST, now=NOW).multipart == SECOND

    @pytest.mark.parametrize("replaces", [None, FIRST], ids=["first", "again"])
    @pytest.mark.parametrize(
        ("status", "values"),
        [
            (Status.AWAITING_UPLOAD, {"expires_at": NOW}),
            (Status.FAILED, {"expires_at": NOW}),
            (Status.FAILED, {"retryable": True}),
            (Status.PROCESSING, {}),
            (Status.READY, {}),
            (Status.PURGED, {}),
        ],
        ids=["too late", "failed, too late", "our fault", "at work", "ready", "purged"],
    )
    def test_is_not_begun_for_a_job_that_awaits_none(
        self, store: JobStore, status: Status, values: dict[str, Any], replaces: MultipartUpload | None
    ) -> None:
        job = stored(store, status, multipart=replaces, **values)

        with pytest.raises(Refused):
            store.begin_multipart(job.id, SECOND, replaces=replaces, now=NOW)

        assert store.get(job.id) == job

    def test_is_forgotten_unless_another_took_its_place(self, store: JobStore) -> None:
        job = stored(store, multipart=FIRST)

        store.end_multipart(job.id, SECOND)
        assert store.get(job.id) == job
        store.end_multipart(job.id, FIRST)
        assert store.get(job.id) == replace(job, multipart=None)
        store.end_multipart(job.id, FIRST)


class TestMoreLinks:
    @pytest.mark.parametrize(
        "status", [Status.AWAITING_UPLOAD, Status.PROCESSING, Status.READY, Status.FAILED], ids=str
    )
    def test_open_the_same_job_as_those_before(self, store: JobStore, status: Status) -> None:
        job = stored(store, status, secret_hash="a" * 64)

        store.add_link(job.id, now=NOW, secret_hash="b" * 64)
        more = store.add_link(job.id, now=NOW, secret_hash="c" * 64)

        assert more == replace(job, more_secret_hashes=frozenset(("b" * 64, "c" * 64)))
        for digit in "abc":
            assert store.get_by_link(job.id, secret_hash=digit * 64) == more
        assert store.get_by_link(job.id, secret_hash="d" * 64) is None

    @pytest.mark.parametrize(
        ("status", "values"),
        [
            (Status.READY, {"expires_at": NOW}),
            (Status.CLAIMED, {}),
            (Status.PURGED, {}),
            (Status.EXPIRED, {}),
        ],
        ids=["too late", "claimed", "purged", "expired"],
    )
    def test_are_none_to_what_is_over(self, store: JobStore, status: Status, values: dict[str, Any]) -> None:
        job = stored(store, status, **values)

        with pytest.raises(Refused):
            store.add_link(job.id, now=NOW, secret_hash="b" * 64)

        assert store.get(job.id) == job

    def test_are_twenty_at_most(self, store: JobStore) -> None:
        job = stored(store, Status.READY, more_secret_hashes=frozenset(f"{number:064}" for number in range(19)))

        full = store.add_link(job.id, now=NOW, secret_hash="b" * 64)

        assert len(full.more_secret_hashes or ()) == 20
        with pytest.raises(Refused):
            store.add_link(job.id, now=NOW, secret_hash="c" * 64)
        assert store.add_link(job.id, now=NOW, secret_hash="b" * 64) == full, "which has it already"
        assert store.get(job.id) == full

    def test_claim_the_job_as_the_first_does(self, store: JobStore) -> None:
        job = stored(store, Status.READY, secret_hash="a" * 64, more_secret_hashes=frozenset(("b" * 64,)))

        assert store.claim(job.id, now=NOW, secret_hash="b" * 64, purge_at=NOW + 300).status is Status.CLAIMED

    def test_are_dead_with_the_first_when_it_is_renewed(self, store: JobStore) -> None:
        job = stored(
            store,
            Status.READY,
            secret_hash="a" * 64,
            more_secret_hashes=frozenset(("b" * 64,)),
            passphrase_tries=10,
        )

        renewed = store.renew_link(job.id, now=NOW, secret_hash="c" * 64)

        assert (renewed.secret_hash, renewed.more_secret_hashes, renewed.passphrase_tries) == ("c" * 64, None, 0)


class TestPassphraseTries:
    def count(self, store: JobStore, job: Job, *, most: int = 3, digit: str = "a") -> int:
        return store.count_passphrase_try(job.id, now=NOW, secret_hash=digit * 64, most=most).passphrase_tries

    def test_are_counted_up_to_the_most(self, store: JobStore) -> None:
        job = stored(store, Status.READY, secret_hash="a" * 64, more_secret_hashes=frozenset(("b" * 64,)))

        assert [self.count(store, job), self.count(store, job, digit="b"), self.count(store, job)] == [1, 2, 3]
        with pytest.raises(Refused) as refusal:
            self.count(store, job)
        assert refusal.value.job == store.get(job.id)
        assert self.count(store, job, most=4) == 4

    @pytest.mark.parametrize(
        ("status", "values", "digit"),
        [
            (Status.READY, {}, "c"),
            (Status.READY, {"expires_at": NOW}, "a"),
            (Status.CLAIMED, {}, "a"),
            (Status.PROCESSING, {}, "a"),
        ],
        ids=["another secret", "too late", "claimed", "at work"],
    )
    def test_of_nothing_else_are_counted(
        self, store: JobStore, status: Status, values: dict[str, Any], digit: str
    ) -> None:
        job = stored(store, status, secret_hash="a" * 64, **values)

        with pytest.raises(Refused):
            self.count(store, job, digit=digit)

        assert store.get(job.id) == job


class TestLists:
    """Of a reference and of a state: newest first, page by page, as last written."""

    def pages(self, some: Callable[..., tuple[list[Job], str | None]], limit: int) -> list[list[str]]:
        pages: list[list[str]] = []
        token: str | None = None
        while not pages or token:
            jobs, token = some(limit=limit, next_token=token)
            pages.append([job.id for job in jobs])
        return [page for page in pages if page]

    def test_of_a_reference(self, store: JobStore) -> None:
        jobs = [stored(store, reference="album", created_at=NOW + number) for number in range(5)]
        stored(store, reference="another")
        stored(store)

        pages = self.pages(lambda **page: store.list_by_reference("album", **page), 2)

        newest = [job.id for job in jobs[::-1]]
        assert pages == [newest[:2], newest[2:4], newest[4:]]

    def test_of_a_state(self, store: JobStore) -> None:
        ready = [stored(store, Status.READY, created_at=NOW + number) for number in range(3)]
        stored(store, Status.FAILED)

        assert self.pages(lambda **page: store.list_by_status(Status.READY, **page), 2) == [
            [ready[2].id, ready[1].id],
            [ready[0].id],
        ]
        assert store.list_by_status(Status.CLAIMED, limit=5) == ([], None)

    def test_have_whole_jobs(self, store: JobStore) -> None:
        job = direct_job(Status.READY, reference="album", created_at=NOW)
        store.create(job)

        assert store.list_by_reference("album", limit=1)[0] == [job]
        assert store.list_by_status(Status.READY, limit=1)[0] == [job]


class TestAnswersInSeveralPieces:
    """DynamoDB may give a page of whole jobs in several answers, and in any order."""

    def listed(
        self, store: JobStore, monkeypatch: pytest.MonkeyPatch, *, answered: int, calls: list[int] | None = None
    ) -> list[Job]:
        dynamodb = clients.dynamodb()
        whole = dynamodb.batch_get_item

        def in_pieces(*, RequestItems: Any) -> Any:  # noqa: N803 - its name
            ((table, asked),) = RequestItems.items()
            if calls is not None:
                calls.append(len(asked["Keys"]))
            now, later = asked["Keys"][:answered], asked["Keys"][answered:]
            answer: Any = whole(RequestItems={table: asked | {"Keys": now}}) if now else {"Responses": {}}
            return answer | {"UnprocessedKeys": {table: asked | {"Keys": later}} if later else {}}

        monkeypatch.setattr(dynamodb, "batch_get_item", in_pieces)
        return store.list_by_reference("album", limit=100)[0]

    def test_are_put_together(self, store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
        jobs = [stored(store, reference="album", created_at=NOW + number) for number in range(4)]
        calls: list[int] = []

        assert self.listed(store, monkeypatch, answered=1, calls=calls) == jobs[::-1]
        assert calls == [4, 3, 2, 1]

    def test_that_never_come_are_our_fault(self, store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
        stored(store, reference="album")

        with pytest.raises(InternalError):
            self.listed(store, monkeypatch, answered=0)

    def test_of_a_job_that_is_gone_leave_it_out(self, store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
        jobs = [stored(store, reference="album", created_at=NOW + number) for number in range(2)]
        whole = clients.dynamodb().batch_get_item

        def without_the_last(*, RequestItems: Any) -> Any:  # noqa: N803
            answer = whole(RequestItems=RequestItems)
            for items in answer["Responses"].values():
                items[:] = [item for item in items if item["id"]["S"] != jobs[1].id]
            return answer

        monkeypatch.setattr(clients.dynamodb(), "batch_get_item", without_the_last)

        assert store.list_by_reference("album", limit=100)[0] == [jobs[0]]
