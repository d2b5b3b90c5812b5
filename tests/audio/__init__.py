"""Audio for the tests, made on the fly: whole and broken files of every format, and measurements of what comes out."""
