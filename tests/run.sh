#!/usr/bin/env bash
# All checks: format, linter, documentation, every test; `tests/architecture/` looks at the dependencies too. Installs what is
# missing first; a tool that cannot be had is a failure.
# Needs root, also when everything is installed: some tests run a Docker engine or fill up a small disk of their own.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n== %s\n' "$*"; }

if [ "$(id -u)" -ne 0 ]; then
    echo "Run this as root: some tests run a Docker engine or mount a small disk of their own." >&2
    exit 1
fi

say "What is needed from Debian"
config/debian-packages.sh \
    buildah busybox-static ca-certificates chromium chromium-driver cmake containerd curl docker-registry docker.io \
    fonts-liberation2 g++ gcc haproxy iproute2 iptables libfaketime make pgbouncer podman postgresql procps prometheus python3 \
    python3-venv skopeo

for tool in cargo rustfmt cargo-clippy; do
    # Rustup has a name for each of them, whether the component is there or not.
    "$tool" --version >/dev/null 2>&1 || {
        echo "$tool is missing: install a Rust toolchain with rustup, then: rustup component add rustfmt clippy" >&2
        exit 1
    }
done

if ! command -v go >/dev/null; then
    echo "go is missing: install Go 1.26.7 or newer (https://go.dev/dl), which builds some of the clients that tests run" >&2
    exit 1
fi

. tests/toolchain.sh

# Beside the linters and the compiler, which leave one core idle for a part of their time.
brought=$(mktemp)
nice tests/tools.sh axe cosign crane conformance oras regctl schemathesis >"$brought" 2>&1 &
bringing=$!
trap 'kill "$bringing" 2>/dev/null || true' EXIT

say "Format"
cargo fmt --all --check
cargo fmt --manifest-path tests/fuzz/Cargo.toml --all --check
say "Linter, warnings are errors"
cargo clippy --locked --all-targets -- --deny warnings
say "Documentation, broken links are errors"
RUSTDOCFLAGS="--deny warnings" cargo doc --locked --no-deps --document-private-items
say "Linter over the fuzz targets; running them takes cargo-fuzz, see tests/README.md"
CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}" \
    cargo clippy --manifest-path tests/fuzz/Cargo.toml --locked -- --deny warnings
say "Building the tests"
cargo test --locked --no-run
say "What is needed and Debian does not have"
wait "$bringing" || {
    cat "$brought" >&2
    exit 1
}
cat "$brought"
rm -f "$brought"
say "Tests"
# Most of them wait for processes that they have started.
RUST_TEST_THREADS="${RUST_TEST_THREADS:-$(($(nproc) * 2))}" cargo test --locked
