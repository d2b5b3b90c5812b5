"""Logs and metrics: one logger, one metrics namespace, the same names everywhere.

A link's secret and a presigned URL never go to a log, a metric or an event.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache, wraps
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

__all__ = ["MetricUnit", "format_logs_of", "instrumented", "logger", "metrics"]

Handler = Callable[[dict[str, Any], Any], Any]


@cache
def logger() -> Logger:
    """The JSON logger; service name and level come from the environment (``POWERTOOLS_*``).

    Lambda reads the level of a line only where its timestamp is RFC 3339.
    """
    return Logger(utc=True, use_rfc3339=True)


def format_logs_of(package: str) -> None:
    """Let the standard loggers of a package write as ours does: JSON, with the invocation's context."""
    standard = logging.getLogger(package)
    standard.handlers = [logger().registered_handler]
    standard.setLevel(logger().log_level)
    standard.propagate = False


@cache
def metrics() -> Metrics:
    """CloudWatch metrics in the embedded metric format, written to the log."""
    return Metrics()


def instrumented(handler: Handler) -> Handler:
    """Give every log line the invocation's context, and write the metrics, if any, when the handler ends.

    Logger and metrics are made at the first call, so that an import reads no environment.
    """

    def with_metrics(event: dict[str, Any], context: Any) -> Any:
        try:
            return handler(event, context)
        finally:
            if metrics().metric_set:
                metrics().flush_metrics()

    @cache
    def with_context() -> Handler:
        decorated: Handler = logger().inject_lambda_context(with_metrics, clear_state=True)
        return decorated

    @wraps(handler)
    def instrumented_handler(event: dict[str, Any], context: Any) -> Any:
        return with_context()(event, context)

    return instrumented_handler
