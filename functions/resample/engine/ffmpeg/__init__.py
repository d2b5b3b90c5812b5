"""ffmpeg and ffprobe: how they are called, and what they say."""
