#!/usr/bin/env bash
# The main job, from nothing: a real registry, the door in front of it, a small image pushed and pulled through the door,
# and what was recorded. Then it stays up until Ctrl-C; with --exit it stops by itself.
set -euo pipefail
cd "$(dirname "$0")/.."

stay=yes
case "$*" in
    '') ;;
    --exit) stay=no ;;
    *)
        echo "usage: config/quickstart.sh [--exit]" >&2
        exit 2
        ;;
esac

registry=127.0.0.1:5001
door=127.0.0.1:5000
admin=127.0.0.1:5080
# What runs here is reached directly, whatever proxy leads to the rest of the world.
export no_proxy="127.0.0.1,localhost${no_proxy:+,$no_proxy}" NO_PROXY="127.0.0.1,localhost${NO_PROXY:+,$NO_PROXY}"
work=$(mktemp -d)
pids=()

say() { printf '\n== %s\n' "$*"; }

fail() {
    echo "$*" >&2
    exit 1
}

# Stops what was started, the door first, so that it ends what it has begun while the registry is still there.
# shellcheck disable=SC2317 # The trap below calls it.
stop() {
    status=$?
    trap - EXIT
    trap '' HUP INT TERM
    if [ "$status" -ne 0 ]; then
        for log in "$work"/*.log; do
            [ -s "$log" ] || continue
            echo "--- the end of $(basename "$log"):" >&2
            tail -n 20 "$log" >&2
        done
    fi
    for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
        kill "${pids[i]}" 2>/dev/null || true
        wait "${pids[i]}" 2>/dev/null || true
    done
    rm -rf "$work"
    exit "$status"
}
trap stop EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# Starts a program whose log has this name. It has a session of its own: Ctrl-C is for this script, which stops the
# others in their order.
start() {
    local log=$work/$1.log
    shift
    setsid "$@" >"$log" 2>&1 &
    pids+=($!)
}

# Waits until what was started last answers, for at most ten seconds, as long as it is there.
wait_for() {
    local url=$1 what=$2
    for _ in $(seq 100); do
        if curl --silent --fail --max-time 1 --output /dev/null "$url"; then
            # Somebody else may be answering in its place.
            kill -0 "${pids[-1]}" 2>/dev/null && return
        fi
        kill -0 "${pids[-1]}" 2>/dev/null || fail "$what ended instead of listening."
        sleep 0.1
    done
    fail "$what did not answer within ten seconds."
}

for address in "$registry" "$door" "$admin"; do
    if (exec 3<>"/dev/tcp/${address%:*}/${address#*:}") 2>/dev/null; then
        fail "Something listens on port ${address#*:} already; stop it first. As root, 'ss -ltnp' shows what it is;" \
            "Debian's docker-registry, when installed by hand, runs on 5000: 'systemctl stop docker-registry'."
    fi
done

say "What is needed: a C toolchain and cmake for the build; a registry, skopeo, curl and jq for the demonstration"
config/debian-packages.sh busybox-static ca-certificates cmake curl docker-registry g++ gcc jq make skopeo

command -v cargo >/dev/null || fail "There is no cargo: install a Rust toolchain with rustup first."
say "Building the door (the first time this takes some minutes)"
binary=$(cargo build --release --locked --bin portreeve --message-format json-render-diagnostics |
    jq --raw-output 'select(.reason == "compiler-artifact" and .target.name == "portreeve") | .executable // empty')

say "Starting a registry on $registry"
cat >"$work/registry.yml" <<YAML
version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: $work/registry}
  delete: {enabled: true}
http: {addr: "$registry"}
YAML
start registry docker-registry serve "$work/registry.yml"
wait_for "http://$registry/v2/" "The registry"

say "Starting the door on $door"
start door env PORTREEVE__LISTEN__DOOR="$door" PORTREEVE__LISTEN__ADMIN="$admin" \
    PORTREEVE__REGISTRY__URL="http://$registry" PORTREEVE__STORE__URL="redb:$work/portreeve.redb" "$binary" serve
wait_for "http://$admin/readyz" "The door"

say "Making a small image that runs: busybox"
layout=$work/image
mkdir -p "$layout/blobs/sha256" "$work/root/bin"
cp /bin/busybox "$work/root/bin/"
ln -s busybox "$work/root/bin/sh"
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$work/root" -cf "$work/layer.tar" .
# Puts a file among the image's blobs and says its digest.
blob() {
    local digest
    digest=$(sha256sum "$1" | cut -d' ' -f1)
    cp "$1" "$layout/blobs/sha256/$digest"
    echo "sha256:$digest"
}
contents=sha256:$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
# Compressed here, since Skopeo would do so on the way, and the digests would differ.
gzip --no-name "$work/layer.tar"
layer=$(blob "$work/layer.tar.gz")
# Debian names some architectures in its own way.
architecture=$(dpkg --print-architecture | sed 's/^armhf$/arm/; s/^i386$/386/; s/^ppc64el$/ppc64le/')
jq --null-input --compact-output --arg layer "$contents" --arg architecture "$architecture" \
    '{architecture: $architecture, os: "linux", config: {Cmd: ["/bin/sh"]}, rootfs: {type: "layers", diff_ids: [$layer]}}' \
    >"$work/config.json"
image_config=$(blob "$work/config.json")
jq --null-input --compact-output \
    --arg config "$image_config" --argjson config_size "$(stat -c %s "$work/config.json")" \
    --arg layer "$layer" --argjson layer_size "$(stat -c %s "$work/layer.tar.gz")" \
    '{schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json",
      config: {mediaType: "application/vnd.oci.image.config.v1+json", digest: $config, size: $config_size},
      layers: [{mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", digest: $layer, size: $layer_size}]}' >"$work/manifest.json"
manifest=$(blob "$work/manifest.json")
jq --null-input --compact-output --arg digest "$manifest" --argjson size "$(stat -c %s "$work/manifest.json")" \
    '{schemaVersion: 2, manifests: [{mediaType: "application/vnd.oci.image.manifest.v1+json", digest: $digest, size: $size}]}' \
    >"$layout/index.json"
echo '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"

say "Pushing it through the door as hello/world:latest"
skopeo copy --quiet --dest-tls-verify=false "oci:$layout" "docker://$door/hello/world:latest"
say "Pulling it back through the door"
skopeo copy --quiet --src-tls-verify=false "docker://$door/hello/world:latest" "oci:$work/pulled:latest"
pulled=$(jq --raw-output '.manifests[0].digest' "$work/pulled/index.json")
[ "$pulled" = "$manifest" ] || fail "What came back has the digest $pulled, not $manifest."
echo "It came back as it went: $pulled"

say "What the door recorded"
recorded=$(curl --silent --show-error --fail "http://$door/api/v1/tags?repository=hello/world")
echo "$recorded" | jq --raw-output '.items[] | "hello/world:\(.tag)  \(.digest)  \(.bytes) bytes  pushed at \(.pushed_at)"'
[ "$(echo "$recorded" | jq --raw-output '.items[] | select(.tag == "latest") | .digest')" = "$manifest" ] ||
    fail "The record does not name the digest that was pushed."
curl --silent --show-error --fail "http://$door/api/v1/events" |
    jq --raw-output '.items[] | "event \(.sequence)  \(.kind)  \(.repository):\(.tag)  by \(.actor.agent) at \(.actor.address)"'

if [ "$stay" = no ]; then
    say "Done; stopping"
    exit 0
fi
# From here on, to be stopped is what is expected.
trap 'exit 0' HUP INT TERM
cat <<TEXT

The door is up. From another terminal, with an IMAGE that is there already:

    docker tag IMAGE localhost:5000/my/image:1 && docker push localhost:5000/my/image:1
    podman push --tls-verify=false IMAGE localhost:5000/my/image:1
    skopeo copy --dest-tls-verify=false docker-archive:IMAGE.tar docker://localhost:5000/my/image:1
    docker run --rm -it localhost:5000/hello/world

    curl -s localhost:5000/api/v1/repositories | jq        what the registry holds
    curl -s localhost:5000/api/v1/events | jq              how it came to be
    curl -s localhost:5080/metrics                         numbers

Ctrl-C stops the door and the registry and removes what they stored.
TEXT
wait -n "${pids[@]}" || true
fail "The registry or the door ended by itself."
