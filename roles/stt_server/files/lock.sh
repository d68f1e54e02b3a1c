#!/bin/sh
# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Pin the small engines' requirements, with hashes, for each Python they run on; needs uv. Wheels for x86_64 and aarch64 only.
# lock.sh ENGINE...: those engines; without any, all, and what CUDA needs.
set -eu
cd "$(dirname "$0")"
other=$(mktemp)
trap 'rm -f "$other"' EXIT

pin() ( # python version, platform, result, source, further options
    version=$1 platform=$2 result=$3 source=$4
    shift 4
    rm -f "$result"
    uv pip compile "$source" --quiet --no-header --no-annotate --no-emit-index-url --no-emit-find-links "$@" \
        --generate-hashes --only-binary :all: --python-version "$version" --python-platform "$platform" --output-file "$result"
)

on() { # python version, platform, result, source: what is in the source, and in alone.in what comes without what it asks for
    pin "$@"
    folder=$(dirname "$4")
    [ -f "$folder/alone.in" ] || return 0
    pin "$1" "$2" "$3.alone" "$folder/alone.in" --no-deps
    cat "$3.alone" >>"$3"
    rm "$3.alone"
}

named() { # result, what it was made from
    printf '%s\n%s\n' "# Made by lock.sh from $2" "$(cat "$1")" >"$1"
}

engines=${*:-faster_whisper parakeet vosk}
for name in $engines; do
    for version in 3.11 3.12 3.13; do
        tag=py$(echo "$version" | tr -d .)
        result=$name/requirements-$tag.txt
        on "$version" x86_64-unknown-linux-gnu "$result" "$name/requirements.in"
        on "$version" aarch64-unknown-linux-gnu "$other" "$name/requirements.in"
        cmp "$result" "$other" # one file serves both machines
        named "$result" "requirements.in for Python $version; install with --require-hashes."
        [ -f "$name/requirements-cuda.in" ] || continue
        result=$name/requirements-cuda-$tag.txt
        on "$version" x86_64-unknown-linux-gnu "$result" "$name/requirements-cuda.in"
        named "$result" "requirements-cuda.in for Python $version, x86_64 with an NVIDIA GPU; install with --require-hashes."
    done
done
[ $# = 0 ] || exit 0
pin 3.11 x86_64-unknown-linux-gnu requirements-cuda.txt requirements-cuda.in
named requirements-cuda.txt "requirements-cuda.in; x86_64 with an NVIDIA GPU only."
