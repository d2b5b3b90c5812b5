"""The one error of this package."""


class ParallelEncodingFailed(Exception):
    """Something was not as expected. What was written is of no use; one encoder process will do the work instead."""
