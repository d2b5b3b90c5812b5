"""Who sends a file in parts: by S3's own calls, which need nobody's leave but that of the address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from botocore.exceptions import ClientError

from api.requests import SentPart, UploadRequest
from tests.unit.service.service_in_memory import UPLOADS, Service

PART_BYTES = 4
"""The service itself looks only at how many parts there are; the least size is checked with the request."""


@dataclass(slots=True, eq=False)
class Sender:
    """One file for one job. With a fingerprint its parts may be anybody's who has the file; else it names its own."""

    job_id: str
    file: bytes
    has_fingerprint: bool = True
    part_bytes: int = PART_BYTES
    upload_id: str = ""
    part_count: int = 0
    sent: dict[int, str] = field(default_factory=dict)

    @property
    def has_sent_all(self) -> bool:
        return bool(self.upload_id) and len(self.sent) == self.part_count

    @property
    def request(self) -> UploadRequest:
        fingerprint = f"sha256-{self.file.hex()}" if self.has_fingerprint else None
        return UploadRequest(len(self.file), self.part_bytes, fingerprint)

    @property
    def named(self) -> Sequence[SentPart]:
        return () if self.has_fingerprint else [SentPart(number, etag) for number, etag in self.sent.items()]

    def begin(self, service: Service) -> None:
        """Begin, or go on where the parts of this very file ended."""
        begun = service.uploads_in_parts.begin(service.jobs.get(self.job_id), self.request)
        if begun["s3"]["upload_id"] != self.upload_id:
            self.sent = {}
        self.upload_id, self.part_count = begun["s3"]["upload_id"], begun["part_count"]
        if self.has_fingerprint:
            self.sent |= {part["number"]: part["etag"] for part in begun["parts"]}

    def send(self, service: Service, most: int = 100) -> None:
        """Send parts that are missing; whose upload is gone has to begin again."""
        missing = [number for number in range(1, self.part_count + 1) if number not in self.sent]
        for number in missing[:most]:
            part = self.file[(number - 1) * self.part_bytes : number * self.part_bytes]
            try:
                self.sent[number] = service.aws.client().upload_part(
                    Bucket=UPLOADS, Key=f"jobs/{self.job_id}", UploadId=self.upload_id, PartNumber=number, Body=part
                )["ETag"]
            except ClientError:
                self.upload_id, self.sent = "", {}
                return

    def complete(self, service: Service) -> None:
        service.uploads_in_parts.complete(service.jobs.get(self.job_id), self.named)

    def complete_at_s3(self, service: Service) -> None:
        """As clients do that speak S3's own multipart API: they name each part."""
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in sorted(self.sent.items())]
        service.aws.client().complete_multipart_upload(
            Bucket=UPLOADS, Key=f"jobs/{self.job_id}", UploadId=self.upload_id, MultipartUpload={"Parts": parts}
        )

    def abort(self, service: Service) -> None:
        service.uploads_in_parts.abort(service.jobs.get(self.job_id))
