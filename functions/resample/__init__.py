"""An S3 event becomes a job, and its audio an MP3. The engine (ffmpeg) lives here."""
