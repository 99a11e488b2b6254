# The image of the operator: its binary and the authorities that the vendors' APIs are checked against, nothing else.
#
#   docker buildx build --platform linux/amd64,linux/arm64 --tag registry.example.com/pguser-operator:0.1.0 --push .
#
# hack/image makes the same without a container engine, for one architecture. Each platform builds for itself, so the one
# that is not the machine's own takes an emulator, or a builder of that kind.

FROM docker.io/library/rust:1.95.0-slim-bookworm AS build
ARG PROFILE=release
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    binary=$(hack/build-static) && cp "$binary" /pguser-operator

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="pguser-operator" \
      org.opencontainers.image.description="A Kubernetes operator that gives every application its own PostgreSQL login" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /pguser-operator /pguser-operator
USER 65532:65532
ENTRYPOINT ["/pguser-operator"]
