"""`sam local` for real: containers, on a machine without Docker and without a registry of images."""
