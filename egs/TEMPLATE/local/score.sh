#!/usr/bin/env bash
# Scores what was decoded: local/score.sh <data-dir> <lang-dir-or-> <decode-dir>
# Writes <decode-dir>/{wer,cer,scoring/...}.
set -euo pipefail

if (($# != 3)); then
    echo "usage: local/score.sh <data-dir> <lang-dir-or-> <decode-dir>" >&2
    exit 2
fi
# shellcheck source=egs/TEMPLATE/path.sh
source "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
exec python -m omni_asr.bin.score "$@"
