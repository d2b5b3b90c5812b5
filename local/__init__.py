"""The embedded AWS: the real template and the real artefacts, on this machine, with no Docker and no account."""
