#!/usr/bin/env bash
# Make sph2pipe 2.5, which reads SPHERE files that are compressed by shorten: speech of the LDC. ffmpeg reads those of
# 16-bit samples, too; those of mu-law samples are read by sph2pipe alone.
#
# usage: tools/install_sph2pipe.sh [--prefix DIR] [--url URL] [--sha256 SUM]
#
#   --prefix DIR    the program is put in DIR/bin, default tools/sph2pipe, where every recipe finds it
#   --url URL       archive of its sources, default that of OpenSLR 3; file:///... for one that was fetched elsewhere
#   --sha256 SUM    checksum that the archive must have, default that of OpenSLR's
#
# Safe to call again: where it is there and works, nothing is done. Needs a C compiler (cc, or what CC names) and curl, wget
# or python3; no root.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
prefix=$root/tools/sph2pipe
urls=(https://www.openslr.org/resources/3/sph2pipe_v2.5.tar.gz
    https://sourceforge.net/projects/kaldi/files/sph2pipe_v2.5.tar.gz)
sha256=5be236dc94ed0a301c5c8a369f849f76799ec7e70f25dfc0521068d9d1d4d3e3

log() { echo "$(date '+%Y-%m-%dT%H:%M:%S') (install_sph2pipe.sh) $*"; }
fail() {
    echo "tools/install_sph2pipe.sh: error: $*" >&2
    exit 1
}

while [ $# -gt 0 ]; do
    case $1 in
        -h | --help)
            sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p;}' "${BASH_SOURCE[0]}"
            exit 0
            ;;
        --prefix=* | --url=* | --sha256=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
        --prefix | --url | --sha256)
            [ -n "${2-}" ] || fail "option $1 needs a value"
            case $1 in --prefix) prefix=$2 ;; --url) urls=("$2") ;; --sha256) sha256=$2 ;; esac
            shift 2
            ;;
        *) fail "unknown option $1; --help lists them" ;;
    esac
done

# works PROGRAM: it starts, and says how it is used.
works() { [ -x "$1" ] && [[ $("$1" 2>&1 </dev/null) == *[Uu]sage* ]]; }

# fetch URL FILE: with what there is; its words go to the log.
fetch() {
    if command -v curl >/dev/null; then
        curl -fsSL --connect-timeout 15 --retry 2 -o "$2" "$1"
    elif command -v wget >/dev/null && [[ $1 != file:* ]]; then
        wget -nv -T 15 -t 2 -O "$2" "$1"
    else
        python3 -c 'import shutil, sys, urllib.request
with urllib.request.urlopen(sys.argv[1], timeout=15) as source, open(sys.argv[2], "wb") as file:
    shutil.copyfileobj(source, file)' "$1" "$2"
    fi >>"$work/log" 2>&1
}

# checksum FILE: its SHA-256 sum.
checksum() {
    if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d ' ' -f 1
}

program=$prefix/bin/sph2pipe
if works "$program"; then
    log "$program is there and works, nothing to do"
    exit 0
fi
cc=${CC:-cc}
command -v "$cc" >/dev/null || fail "there is no C compiler '$cc'; install one, e.g. gcc, or name it with CC=..."
mkdir -p "$prefix/bin" || fail "cannot make the folder $prefix/bin; choose another with --prefix"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fetched=
for url in "${urls[@]}"; do
    log "fetching $url"
    if fetch "$url" "$work/sources.tar.gz"; then
        fetched=$url
        break
    fi
done
[ -n "$fetched" ] ||
    fail "cannot fetch ${urls[0]} ($(tail -n 1 "$work/log" | cut -c 1-150)); fetch it elsewhere and give --url file:///..."
found=$(checksum "$work/sources.tar.gz")
[ "$found" = "$sha256" ] || fail "$fetched has the SHA-256 sum $found, not $sha256; it is not the file that is expected"
tar -xzf "$work/sources.tar.gz" -C "$work" --no-same-owner 2>>"$work/log" || fail "$fetched cannot be unpacked"
sources=$(find "$work" -name sph2pipe.c | head -n 1)
[ -n "$sources" ] || fail "$fetched does not hold the sources of sph2pipe"

# The sources are C of 1990: a newer compiler wants to be told so.
cd "$(dirname "$sources")"
"$cc" -std=gnu89 -O2 -w -o "$work/sph2pipe" ./*.c -lm >"$work/log" 2>&1 ||
    fail "'$cc' cannot compile sph2pipe: $(grep -m 1 error "$work/log" | cut -c 1-200)"
works "$work/sph2pipe" || fail "what '$cc' made of $fetched does not start"
mv "$work/sph2pipe" "$program"
log "$program is made; recipes find it in tools/sph2pipe/bin, and anywhere on PATH"
