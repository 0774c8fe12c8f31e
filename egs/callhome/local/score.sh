#!/usr/bin/env bash
# Stage 5: local/score.sh <data-dir> <lang-dir-or-> <decode-dir> [options]
exec "$(dirname "${BASH_SOURCE[0]}")/../../TEMPLATE/local/score_hub5.sh" "$@"
