#!/usr/bin/env bash
# Stage 5: local/score.sh <data-dir> <lang-dir-or-> <decode-dir> [options]
#
# As Kaldi does, by times and a global map; before that, in <decode-dir>/plain, every word by itself, as ESPnet does.
# With --regime, by that regime alone.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
score=${recipe}/../TEMPLATE/local/score.sh
[[ $# -ge 3 && " ${*:1:3}" != *" --"* ]] || exec "${score}"  # which says how it is called
[[ " $* " != *" --regime"* ]] || exec "${score}" "$@"
# shellcheck source=../../TEMPLATE/path.sh
source "${recipe}/../TEMPLATE/path.sh"
python "${recipe}/local/respell.py" "$1" "$3"
rate=$("${score}" "$1" "$2" "$3/plain" "${@:4}")
echo "every word by itself, as ESPnet does ($3/plain/wer): ${rate}"
exec "${score}" "${@:1:3}" --stm "$1/stm" --glm "$1/glm" --ctm "$3/plain/ctm" "${@:4}"
