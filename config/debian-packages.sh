#!/usr/bin/env bash
# Installs the Debian packages named as arguments, unless they are there already, without letting any of them start a
# service. Says what it does. Needs root only if something is missing.
set -euo pipefail

missing=()
for package in "$@"; do
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing+=("$package")
done
[ "${#missing[@]}" -gt 0 ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
    echo "These Debian packages are missing: ${missing[*]}. Run this as root, or install them first." >&2
    exit 1
fi
echo "Installing Debian packages: ${missing[*]}"

# Debian asks this file whether a package may start its service; it is put back as it was.
policy=/usr/sbin/policy-rc.d
kept=
if [ -e "$policy" ]; then
    kept=$(mktemp)
    cp --preserve "$policy" "$kept"
fi
restore() {
    if [ -n "$kept" ]; then mv "$kept" "$policy"; else rm -f "$policy"; fi
}
trap restore EXIT
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"

log=$(mktemp)
if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "${missing[@]}"; } \
    >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    echo "Installing failed; the whole log is in $log." >&2
    exit 1
fi
rm -f "$log"
