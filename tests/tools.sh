#!/usr/bin/env bash
# Brings the programs named as arguments, which tests drive and Debian does not have, to tools/bin below Cargo's target
# directory, each in the version that stands here: Go builds released modules, pip installs a released package. What is there
# already is left alone.
set -euo pipefail
cd "$(dirname "$0")/.."

TOOLS="${CARGO_TARGET_DIR:-$PWD/target}/tools"

say() { printf '\n== %s\n' "$*"; }

# Which module the program of this name is, with its version.
module_of() {
    case $1 in
    conformance) echo github.com/opencontainers/distribution-spec/conformance@v0.0.0-20260831232431-97274622c111 ;;
    cosign) echo github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3 ;;
    crane) echo github.com/google/go-containerregistry/cmd/crane@v0.22.1 ;;
    oras) echo oras.land/oras/cmd/oras@v1.3.6 ;;
    registry) echo github.com/distribution/distribution/v3/cmd/registry@v3.1.1 ;;
    regctl) echo github.com/regclient/regclient/cmd/regctl@v0.11.7 ;;
    *) return 1 ;;
    esac
}

# Lets `tools/bin` name this one, whichever it named before.
link() { ln --symbolic --force --no-dereference "$2" "$TOOLS/bin/$1"; }

from_go() {
    local name=$1 module=$2
    local directory="$TOOLS/$name-${module#*@}"
    if ! [ -x "$directory/$name" ]; then
        if ! command -v go >/dev/null; then
            echo "go is missing: install Go 1.26.7 or newer (https://go.dev/dl), which builds $module" >&2
            exit 1
        fi
        say "$module"
        # Without what differs between machines, since none of them needs C.
        CGO_ENABLED=0 GOBIN="$directory" GOFLAGS=-mod=mod go install -ldflags=-s "$module"
    fi
    link "$name" "../$name-${module#*@}/$name"
}

from_pip() {
    local name=$1 list=$2
    local directory
    directory="$TOOLS/$name-$(sha256sum "$list" | cut -c 1-16)"
    # The last thing that is written, so that a broken attempt is no installation; and one that was moved is none either, since
    # its programs name the place where it was made.
    if [ "$(cat "$directory/complete" 2>/dev/null)" != "$directory" ]; then
        say "$name, as $list says"
        rm -rf "$directory"
        python3 -m venv "$directory"
        "$directory/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement "$list"
        echo "$directory" >"$directory/complete"
    fi
    link "$name" "../${directory##*/}/bin/$name"
}

mkdir -p "$TOOLS/bin"
for name in "$@"; do
    if [ "$name" = schemathesis ]; then
        from_pip "$name" tests/schemathesis.txt
    elif module=$(module_of "$name"); then
        from_go "$name" "$module"
    else
        echo "$0 knows no program $name" >&2
        exit 1
    fi
done
