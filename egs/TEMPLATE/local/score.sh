#!/usr/bin/env bash
# Scores what was decoded: local/score.sh <data-dir> <lang-dir-or-> <decode-dir> [options]
#
# Writes <decode-dir>/{wer,cer,scoring/...,scoring_kaldi/best_wer}. Options are those of omni-asr score: --regime NAME,
# --stm FILE, --glm FILE, --ctm FILE, --subset NAME=PREFIX, --by TABLE, --train-text FILE, ... A corpus whose
# protocol needs some calls this script from its own local/score.sh, with its options before those of the caller, e.g.
#   exec .../TEMPLATE/local/score.sh "${@:1:3}" --stm "${1-}/stm" --glm "${1-}/glm" --subset callhm=en_ "${@:4}"
set -euo pipefail

if [[ $# -lt 3 || " ${*:1:3}" == *" --"* ]]; then
    echo "usage: local/score.sh <data-dir> <lang-dir-or-> <decode-dir> [options]" >&2
    exit 2
fi
# shellcheck source=egs/TEMPLATE/path.sh
source "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
exec python -m omni_asr.bin.score "$@"
