#!/usr/bin/env bash
# The tests that depend on the store, once more with PostgreSQL; and those that depend on the registry's generation, once more with
# distribution 3.x, which Debian does not have: tests/tools.sh brings it. Run tests/run.sh first: it installs everything else.
set -euo pipefail
cd "$(dirname "$0")/.."

. tests/toolchain.sh

say() { printf '\n== %s\n' "$*"; }

tests/tools.sh conformance cosign crane oras registry regctl

# Most tests wait for processes that they have started.
export RUST_TEST_THREADS="${RUST_TEST_THREADS:-$(($(nproc) * 2))}"
say "Tests with the record in PostgreSQL"
PORTREEVE_TEST_STORE=postgres timeout 900 cargo test --locked --test end_to_end -- answers:: events:: hints:: images:: observed:: sweeps:: \
    tag_deletion:: undelete:: auth::accounts

export PORTREEVE_TEST_REGISTRY="${CARGO_TARGET_DIR:-$PWD/target}/tools/bin/registry"
say "Tests with distribution 3.x"
cargo test --locked --test end_to_end -- auth:: artifacts:: clients:: tls:: sweeps:: hints:: observed:: check:: answers:: tag_deletion:: undelete:: \
    protocol::urls:: oci_subject
say "Tests with distribution 3.x, which knows keys by a JSON Web Key Set"
PORTREEVE_TEST_TRUST=jwks cargo test --locked --test end_to_end -- auth::clients artifacts::gate auth::verifying
