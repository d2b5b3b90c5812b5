"""The Dockerfile's image, built and used with podman: `make test-container`."""
