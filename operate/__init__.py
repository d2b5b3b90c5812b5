"""What talks to a real AWS account: deploy, verify, redrive."""

STACK_NAME = "audio-resampler"
