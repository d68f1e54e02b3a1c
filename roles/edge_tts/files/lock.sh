#!/bin/sh
# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Pin the role's requirements, with hashes, for each Python they run on; needs uv. Wheels for x86_64 and aarch64 only.
set -eu
cd "$(dirname "$0")"

pin() { # python version, platform, result
    uv pip compile requirements.in --quiet --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
        --generate-hashes --only-binary :all: --python-version "$1" --python-platform "$2" --output-file "$3"
}

other=$(mktemp)
trap 'rm -f "$other"' EXIT
for version in 3.11 3.12 3.13; do
    result=requirements-py$(echo "$version" | tr -d .).txt
    rm -f "$result" "$other"
    pin "$version" x86_64-unknown-linux-gnu "$result"
    pin "$version" aarch64-unknown-linux-gnu "$other"
    cmp "$result" "$other" # one file serves both machines
    printf '%s\n%s\n' "# Made by lock.sh from requirements.in for Python $version; install with --require-hashes." \
        "$(cat "$result")" >"$result"
done
