#!/usr/bin/env bash
# The main job, from nothing: a real registry, the door in front of it, a small image pushed and pulled through the door,
# and what was recorded. Then it stays up until Ctrl-C; with --exit it stops by itself.
set -euo pipefail
cd "$(dirname "$0")/.."

stay=yes
case "${1:-}" in
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
work=$(mktemp -d)
pids=()

stop() {
    status=$?
    trap - EXIT INT TERM
    if [ "$status" -ne 0 ] && [ "$stay" != stopping ]; then
        for log in "$work"/*.log; do
            [ -s "$log" ] && echo "--- the end of $(basename "$log"):" >&2 && tail -n 20 "$log" >&2
        done
    fi
    # The door first, so that it ends what it has begun while the registry is still there.
    for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
        kill "${pids[i]}" 2>/dev/null && wait "${pids[i]}" 2>/dev/null || true
    done
    rm -rf "$work"
    [ "$stay" = stopping ] && status=0
    exit "$status"
}
trap stop EXIT
trap 'stay=stopping; exit 0' INT TERM

say() { printf '\n== %s\n' "$*"; }

# Waits until an address answers, for at most ten seconds, as long as the process is there.
wait_for() {
    local url=$1 pid=$2 what=$3
    for _ in $(seq 100); do
        curl --silent --fail --output /dev/null "$url" && return
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    echo "$what did not come up." >&2
    exit 1
}

say "What is needed: a C toolchain and cmake for the build; docker-registry, skopeo, curl and jq for the demonstration"
config/debian-packages.sh ca-certificates cmake curl docker-registry g++ gcc jq make skopeo

command -v cargo >/dev/null || {
    echo "There is no cargo: install a Rust toolchain first." >&2
    exit 1
}
say "Building the door (the first time this takes some minutes)"
cargo build --release --locked --bin portreeve
binary=${CARGO_TARGET_DIR:-target}/release/portreeve

for address in "$registry" "$door" "$admin"; do
    if (exec 3<>"/dev/tcp/${address%:*}/${address#*:}") 2>/dev/null; then
        echo "Something listens on $address already; stop it first." >&2
        exit 1
    fi
done

say "Starting a registry on $registry"
cat >"$work/registry.yml" <<YAML
version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: $work/registry}
  delete: {enabled: true}
http: {addr: $registry}
YAML
docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 &
pids+=($!)
wait_for "http://$registry/v2/" "${pids[0]}" "The registry"

say "Starting the door on port ${door#*:}"
PORTREEVE__REGISTRY__URL="http://$registry" PORTREEVE__STORE__URL="redb:$work/portreeve.redb" \
    "$binary" serve >"$work/door.log" 2>&1 &
pids+=($!)
wait_for "http://$admin/readyz" "${pids[1]}" "The door"

say "Making a small image"
layout=$work/image
mkdir -p "$layout/blobs/sha256" "$work/root/bin"
cp /bin/true "$work/root/bin/"
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
jq --null-input --compact-output --arg layer "$contents" \
    '{architecture: "amd64", os: "linux", config: {}, rootfs: {type: "layers", diff_ids: [$layer]}}' >"$work/config.json"
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
[ "$pulled" = "$manifest" ] || {
    echo "What came back has the digest $pulled, not $manifest." >&2
    exit 1
}

say "What the door recorded"
recorded=$(curl --silent --fail "http://$door/api/v1/tags?repository=hello/world")
echo "$recorded" | jq --raw-output '.items[] | "hello/world:\(.tag)  \(.digest)  \(.bytes) bytes  pushed at \(.pushed_at)"'
[ "$(echo "$recorded" | jq --raw-output '.items[] | select(.tag == "latest") | .digest')" = "$manifest" ] || {
    echo "The record does not name the digest that was pushed." >&2
    exit 1
}
curl --silent --fail "http://$door/api/v1/events" |
    jq --raw-output '.items[] | "event \(.sequence)  \(.kind)  \(.repository):\(.tag)  by \(.actor.agent) at \(.actor.address)"'

if [ "$stay" = no ]; then
    say "Done; stopping"
    exit 0
fi
cat <<TEXT

The door is up. From another terminal:

    skopeo copy --dest-tls-verify=false docker-archive:IMAGE.tar docker://localhost:5000/my/image:1
    docker tag IMAGE localhost:5000/my/image:1 && docker push localhost:5000/my/image:1
    podman push --tls-verify=false IMAGE localhost:5000/my/image:1

    curl -s localhost:5000/api/v1/repositories | jq        what the registry holds
    curl -s localhost:5000/api/v1/events | jq              how it came to be
    curl -s localhost:5080/metrics                         numbers

Ctrl-C stops the door and the registry and removes what they stored.
TEXT
wait "${pids[1]}"
