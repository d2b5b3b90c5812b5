"""What tests do to an embedded AWS that no user can."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from local.stack import EmbeddedAws


@contextmanager
def silent_stack(built: Path, folder: Path, parameters: Mapping[str, str] | None = None) -> Iterator[EmbeddedAws]:
    """An embedded AWS that calls none of its functions: the tests deliver the events, or act in a function's role.

    What is in `built` is deployed, and disconnected from uploads and from the purge queue. Logs go to `folder`.
    """
    with EmbeddedAws(parameters, state_folder=folder, sam_build_folder=built, write_stack_file=False) as stack:
        stack.admin.client("s3").put_bucket_notification_configuration(
            Bucket=stack.access.upload_bucket, NotificationConfiguration={}
        )
        service = stack.admin.client("lambda")
        for mapping in service.list_event_source_mappings()["EventSourceMappings"]:
            service.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        yield stack


def let_window_end(stack: EmbeddedAws, job_id: str) -> None:
    """Have the download window of a claimed job end now: so the record says, and nobody has been told yet."""
    stack.admin.client("dynamodb").update_item(
        TableName=stack.access.jobs_table,
        Key={"id": {"S": job_id}},
        UpdateExpression="SET purge_at = :now",
        ConditionExpression="#status = :claimed",
        ExpressionAttributeNames={"#status": "status"},
        ExpressionAttributeValues={":now": {"N": str(time.time())}, ":claimed": {"S": "claimed"}},
    )
