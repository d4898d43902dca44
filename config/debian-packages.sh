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

# Debian asks this file whether a package may start its service; it is put back as it was. One at a time, since a second
# one would take the first one's file for the system's.
exec 9>/var/lock/portreeve-debian-packages
flock 9
policy=/usr/sbin/policy-rc.d
aside=$policy.before-portreeve
log=$(mktemp)
restore() {
    rm -f "$policy"
    if [ -e "$aside" ] || [ -L "$aside" ]; then mv "$aside" "$policy"; fi
}
# What an interrupted run put aside is the system's own.
if [ -e "$aside" ] || [ -L "$aside" ]; then restore; fi
trap restore EXIT
if [ -e "$policy" ] || [ -L "$policy" ]; then mv "$policy" "$aside"; fi
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"

export DEBIAN_FRONTEND=noninteractive
# A machine that has just started may be busy with its own updates: that is waited for.
if ! { apt-get update && apt-get --option DPkg::Lock::Timeout=300 install --yes --no-install-recommends "${missing[@]}"; } \
    >"$log" 2>&1 </dev/null 9>&-; then
    tail -n 20 "$log" >&2
    echo "Installing failed; the whole log is in $log." >&2
    exit 1
fi
rm -f "$log"
