#!/usr/bin/env bash
# Brings the programs named as arguments, which tests drive and Debian does not have, to tools/bin below Cargo's target
# directory, each in the version that stands here: Go builds released modules, pip installs a released package, and what a
# browser runs is taken out of a released package of npm's registry. What is there already is left alone.
set -euo pipefail
cd "$(dirname "$0")/.."

TOOLS="${CARGO_TARGET_DIR:-$PWD/target}/tools"

# The archive of axe-core, as npm's registry publishes it.
AXE=1477dafa598d8d065f273d6af302aa203c02e83131707b7fa648cd41bd3d6b734f8c22a0dab86ee6a6f64b8afbe804b214d36db85a2826965edfb3a0b9d546b5

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

# The program `$1` is the file `$4` of a package in a version, whose archive has the SHA-512 `$5`.
from_npm() {
    local name=$1 package=$2 version=$3 file=$4 sum=$5
    local directory="$TOOLS/$package-$version"
    if ! [ -e "$directory/$name" ]; then
        say "$package $version"
        mkdir -p "$directory"
        curl --silent --show-error --fail --location --max-time 120 --output "$directory/archive.tgz" \
            "https://registry.npmjs.org/$package/-/$package-$version.tgz"
        echo "$sum  $directory/archive.tgz" | sha512sum --check --quiet
        tar --extract --gzip --file "$directory/archive.tgz" --directory "$directory" "package/$file"
        mv "$directory/package/$file" "$directory/$name"
        rm -r "$directory/archive.tgz" "$directory/package"
    fi
    link "$name" "../${directory##*/}/$name"
}

mkdir -p "$TOOLS/bin"
for name in "$@"; do
    if [ "$name" = schemathesis ]; then
        from_pip "$name" tests/schemathesis.txt
    elif [ "$name" = axe ]; then
        from_npm "$name" axe-core 4.14.1 axe.min.js "$AXE"
    elif module=$(module_of "$name"); then
        from_go "$name" "$module"
    else
        echo "$0 knows no program $name" >&2
        exit 1
    fi
done
