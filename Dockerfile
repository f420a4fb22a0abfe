# The rendezvous server and nothing else: one static program, no shell, no packages.
#
#   docker build -t symbolon-server .
#   docker build -t symbolon-server --build-arg PAGE=prebuilt .   with the page as `cargo xtask web` made it here
#   docker build -t symbolon-server --build-arg PAGE=none .       without the page
#
# `cargo xtask container` builds it with podman or docker and checks what it promises.

FROM docker.io/library/rust:1.95-trixie AS build
ARG PAGE=build
WORKDIR /src

# Node.js builds the page.
RUN if [ "$PAGE" = build ]; then \
        apt-get update && apt-get install -y --no-install-recommends nodejs npm && rm -rf /var/lib/apt/lists/*; \
    fi

COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/root/.npm \
    --mount=type=cache,target=/src/target \
    set -eu; \
    case "$PAGE" in \
        build) rm -rf web/dist; cargo xtask web ;; \
        prebuilt) test -f web/dist/page/index.html || { echo "no page in web/dist/page: cargo xtask web"; exit 1; }; \
            touch web/dist/page web/dist/page/index.html ;; \
        none) rm -rf web/dist ;; \
        *) echo "PAGE is build, prebuilt or none"; exit 1 ;; \
    esac; \
    target="$(rustc -vV | sed -n 's/^host: //p')"; \
    RUSTFLAGS='-C target-feature=+crt-static' \
        cargo build --release --locked --package symbolon-server --target "$target"; \
    install -D "target/$target/release/symbolon-server" /image/symbolon-server; \
    install -d /image/var/lib/symbolon; \
    install -D -m 644 LICENSE-MIT LICENSE-APACHE -t /image/licenses

FROM scratch
LABEL org.opencontainers.image.title="symbolon-server" \
      org.opencontainers.image.description="The rendezvous server of Symbolon: brings the members of a room together" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
# The key lives in a volume, which begins with the owner of this directory.
COPY --from=build --chown=65532:65532 /image/var /var
COPY --from=build /image/symbolon-server /symbolon-server
# For connections to a bus or a relay elsewhere over TLS.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /image/licenses /licenses
USER 65532:65532
ENV SYMBOLON_LISTEN=0.0.0.0:7600 \
    SYMBOLON_KEY_FILE=/var/lib/symbolon/key
VOLUME /var/lib/symbolon
EXPOSE 7600/tcp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=6s --start-period=5s CMD ["/symbolon-server", "health"]
ENTRYPOINT ["/symbolon-server"]
