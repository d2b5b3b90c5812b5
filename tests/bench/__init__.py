"""`make bench`: this engine beside other ways to the same MP3, in one run, on real audio."""
