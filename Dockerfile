# The service, its tests and its deployment for machines without Debian: docs/container.md.
FROM debian:trixie-slim

# What runs the project, and what compiles the ffmpeg layer.
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
        ca-certificates curl debian-archive-keyring dpkg-dev gcc libc6-dev make nasm patch python3 python3-venv xz-utils \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /audio-resampler
COPY . .
RUN make -j3 ready

# `make serve` answers at the container's own address too, so that a port that is published leads to it.
ENV SERVE_OPTIONS="--published --port 8080"
EXPOSE 8080
ENTRYPOINT ["make"]
CMD ["serve"]
