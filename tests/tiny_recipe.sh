#!/usr/bin/env bash
# Run egs/mini at a tiny size through all stages, with every router, and check what it leaves.
#
# usage: tests/tiny_recipe.sh
#
# Works on a copy of egs/ in a temporary folder, beside links to the package and the tools, so that the data, the
# experiments and RESULTS.md of the repository stay as they are. The copy is removed if all is well.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/omni_asr_tiny.XXXXXX")

fail() {
    echo "tests/tiny_recipe.sh: error: $*; what it left is in ${work}" >&2
    exit 1
}

# check_files ROUTER: what stages 3 to 6 must have left.
check_files() {
    local exp file wer found=0
    exp=$(find exp -maxdepth 1 -type d -name "$1_*")
    [ -d "${exp}" ] || fail "expected one folder exp/$1_*, found: ${exp:-none}"
    for file in config.yaml cmd.txt train.log train.jsonl model.pt report/index.html; do
        [ -s "${exp}/${file}" ] || fail "${exp}/${file} is missing or empty"
    done
    for wer in "${exp}"/decode_test*/wer; do
        [ -f "${wer}" ] || fail "no test set is scored in ${exp}"
        grep -q '^%WER [0-9]' "${wer}" || fail "${wer} has no %WER line"
        [ -s "$(dirname "${wer}")/scoring/hyp.trn" ] || fail "$(dirname "${wer}")/scoring/hyp.trn is missing"
        found=$((found + 1))
    done
    [ "$(grep -c "^| ${exp##*/} |" RESULTS.md)" = "${found}" ] || fail "RESULTS.md lacks rows for ${exp}"
    echo "tiny recipe: $1: $(grep '^%WER' "${exp}/decode_test/wer")"
}

ln -s "${root}/omni_asr" "${root}/tools" "${work}/"
tar -C "${root}" -cf - --exclude='egs/*/data' --exclude='egs/*/exp' --exclude='egs/*/fbank' --exclude='egs/*/corpus' \
    --exclude='egs/*/log' egs | tar -C "${work}" -xf -
cd "${work}/egs/mini"
rm -f RESULTS.md

options=(--config conf/tiny.yaml --size tiny)
./run.sh "${options[@]}" --router omni || fail "egs/mini/run.sh failed with router omni"
check_files omni
[ -s data/train/feats.scp ] || fail "stages 0 to 2 left no data/train/feats.scp"
touch after_stage_2
for router in switch dense; do
    ./run.sh "${options[@]}" --stage 3 --router "${router}" || fail "egs/mini/run.sh failed with router ${router}"
    check_files "${router}"
done
changed=$(find data fbank -type f -newer after_stage_2 2> /dev/null | head -n 1)
[ -z "${changed}" ] || fail "stage 3 and later changed ${changed}, which belongs to an earlier stage"

cd /
rm -rf "${work}"
