#!/usr/bin/env bash
# The tests that depend on the registry's generation, once more with distribution 3.x, which Debian does not have: Go
# installs the released module. Run tests/run.sh first: it installs everything else.
set -euo pipefail
cd "$(dirname "$0")/.."

VERSION=v3.1.1

. tests/toolchain.sh

say() { printf '\n== %s\n' "$*"; }

if ! command -v go >/dev/null; then
    echo "go is missing: install Go 1.25 or newer (https://go.dev/dl), which builds distribution $VERSION" >&2
    exit 1
fi

TOOLS="${CARGO_TARGET_DIR:-$PWD/target}/tools/distribution-$VERSION"
if ! [ -x "$TOOLS/registry" ]; then
    say "distribution $VERSION"
    mkdir -p "$TOOLS"
    GOBIN="$TOOLS" GOFLAGS=-mod=mod go install "github.com/distribution/distribution/v3/cmd/registry@$VERSION"
fi

export PORTREEVE_TEST_REGISTRY="$TOOLS/registry"
# Most tests wait for processes that they have started.
export RUST_TEST_THREADS="${RUST_TEST_THREADS:-$(($(nproc) * 2))}"
say "Tests with distribution $VERSION"
cargo test --locked --test end_to_end -- auth:: clients:: tls:: sweeps:: hints:: observed:: check:: answers:: tag_deletion:: \
    protocol::urls:: oci_subject
say "Tests with distribution $VERSION, which knows keys by a JSON Web Key Set"
PORTREEVE_TEST_TRUST=jwks cargo test --locked --test end_to_end -- auth::clients auth::verifying
