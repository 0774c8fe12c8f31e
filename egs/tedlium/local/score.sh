#!/usr/bin/env bash
# Stage 5: local/score.sh <data-dir> <lang-dir-or-> <decode-dir> [options]
# Segments of the corpus's stm, as Kaldi scores them, but for --regime whisper, which compares utterances.
set -euo pipefail
stm=(--stm "${1-}/stm")
[[ -e ${1-}/stm && " $* " != *" --regime"[\ =]"whisper "* ]] || stm=()
exec "$(dirname "${BASH_SOURCE[0]}")/../../TEMPLATE/local/score.sh" "${@:1:3}" "${stm[@]}" "${@:4}"
