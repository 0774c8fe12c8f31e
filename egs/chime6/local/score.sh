#!/usr/bin/env bash
# Stage 5: local/score.sh <data-dir> <lang-dir-or-> <decode-dir> [options]
#
# Both sides by the filters of the challenge; with --regime, by that regime alone.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
rules=(--glm "${recipe}/conf/chime6.glm" --join-hyphens)
[[ " $* " != *" --regime"* ]] || rules=()
exec "${recipe}/../TEMPLATE/local/score.sh" "${@:1:3}" "${rules[@]}" "${@:4}"
