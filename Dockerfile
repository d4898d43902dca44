# Builds the door from this directory, and ships it on a slim Debian with CA certificates for registries behind TLS.
FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends cmake && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY tests tests
COPY benches benches
COPY README.md ./
COPY config config
RUN cargo build --release --locked --bin portreeve

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --system --home-dir /var/lib/portreeve --create-home portreeve
COPY --from=build /source/target/release/portreeve /usr/local/bin/portreeve
USER portreeve
WORKDIR /var/lib/portreeve
VOLUME /var/lib/portreeve
EXPOSE 5000
ENTRYPOINT ["portreeve"]
CMD ["serve"]
