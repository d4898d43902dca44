#!/usr/bin/env bash
# All checks: format, linter, every test. Installs what is missing first; a tool that cannot be had is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n== %s\n' "$*"; }

say "What is needed from Debian"
config/debian-packages.sh \
    buildah busybox-static ca-certificates cmake containerd curl docker-registry docker.io fuse-overlayfs g++ gcc \
    iproute2 iptables jq make nghttp2-client podman procps skopeo

for tool in cargo rustfmt cargo-clippy; do
    command -v "$tool" >/dev/null || {
        echo "$tool is missing: install a Rust toolchain with rustup, then: rustup component add rustfmt clippy" >&2
        exit 1
    }
done

say "Format"
cargo fmt --all --check
say "Linter, warnings are errors"
cargo clippy --locked --all-targets -- --deny warnings
say "Tests"
cargo test --locked
