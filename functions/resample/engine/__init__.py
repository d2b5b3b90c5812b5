"""A file in, an MP3 out: knows no AWS and no jobs."""
