#!/usr/bin/env bash
# Stage 0: local/download.sh --corpus_dir DIR ...: the corpus cannot be fetched; say what to order where it is missing.
set -euo pipefail

for option in "$@"; do
    case ${option} in
        --corpus_dir=*) [[ -d ${option#*=} ]] || missing=${option#*=} ;;
    esac
done
if [[ -n ${missing-} ]]; then
    echo "local/download.sh: error: '${missing}' is not a folder; order LDC93S6B (WSJ0) and LDC94S13B (WSJ1) from" \
        "https://catalog.ldc.upenn.edu, and name the folders with --corpus_dir (README.md)" >&2
    exit 1
fi
