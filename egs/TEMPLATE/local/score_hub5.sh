#!/usr/bin/env bash
# Scores eval2000 as Hub5 does: local/score_hub5.sh <data-dir> <lang-dir-or-> <decode-dir> [options]
# Segments of the stm, the glm on both sides, recognised hesitations, fragments and events left out, and the two halves
# apart; with --regime whisper utterances of text_whisper. Sets without an stm are scored as they are.
set -euo pipefail
data=${1-}
protocol=()
if [[ -e ${data}/stm && ! " $* " =~ " --regime"[\ =]"whisper " ]]; then
    protocol+=(--stm "${data}/stm" --glm "${data}/glm" --hyp-filter hub5)
fi
name=$(cd "${data}" &> /dev/null && basename "${PWD}") || true  # also of "." and of a path that ends in /
[[ ${name} != eval2000 ]] || protocol+=(--subset swbd=sw_ --subset callhm=en_)
exec "$(dirname "${BASH_SOURCE[0]}")/score.sh" "${@:1:3}" "${protocol[@]}" "${@:4}"
