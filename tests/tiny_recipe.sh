#!/usr/bin/env bash
# Run egs/mini at a tiny size through all stages, with every router, and check what it leaves. Then decode a data
# directory with pipes and segments in a recipe of its own, made as the README says.
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
        [ -s "$(dirname "${wer}")/scoring/by_length.md" ] || fail "$(dirname "${wer}")/scoring/by_length.md is missing"
        grep -q '<audio' "$(dirname "${wer}")/scoring/errors.html" || fail "$(dirname "${wer}") has no utterance to hear"
        found=$((found + 1))
    done
    [ "$(rows_in results "${exp##*/}")" = "${found}" ] || fail "exp/RESULTS.md lacks rows for ${exp}"
    if [ "$1" != dense ]; then
        [ -s "${exp}/routing.json" ] || fail "${exp}/routing.json is missing"
        [ "$(rows_in routing "${exp##*/}")" = 1 ] || fail "exp/RESULTS.md lacks a row on the routing of ${exp}"
    fi
    echo "tiny recipe: $1: $(grep '^%WER' "${exp}/decode_test/wer")"
}

# rows_in TABLE EXPERIMENT: how many rows of a table of RESULTS.md are of an experiment.
rows_in() { sed -n "/<!-- $1 -->/,/<!-- \/$1 -->/p" exp/RESULTS.md | grep -c "^| $2 |"; }

# write_own_data SOURCE TARGET: the first utterances of SOURCE as parts of recordings that come through pipes.
write_own_data() {
    local utterance speaker path
    mkdir -p "$2"
    for table in utt2spk text; do head -n 4 "$1/${table}" > "$2/${table}"; done
    while read -r utterance speaker; do
        path=$(awk -v utterance="${utterance}" '$1 == utterance {print $2}' "$1/wav.scp")
        echo "${speaker}-r-${utterance} cat ../mini/${path#*/egs/mini/} |" >> "$2/wav.scp"
        awk -v utterance="${utterance}" -v recording="${speaker}-r-${utterance}" \
            '$1 == utterance {print utterance, recording, 0.02, $2 - 0.02}' "$1/utt2dur" >> "$2/segments"
    done < "$2/utt2spk"
}

# run_own_recipe: what the README says under "Your own data", with a model from elsewhere.
run_own_recipe() {
    local steps
    steps=$(sed -n '/^ln -s .*path\.sh/,/^chmod/p' "${root}/README.md")
    bash -euc "${steps}"
    (. ./path.sh && python -m omni_asr.bin.fix data/test)
    ./run.sh --stage 2 --stop_stage 5 --model ../mini/exp/omni_tiny
}

ln -s "${root}/omni_asr" "${root}/tools" "${work}/"
tar -C "${root}" -cf - --exclude='egs/*/data' --exclude='egs/*/exp' --exclude='egs/*/fbank' --exclude='egs/*/corpus' \
    --exclude='egs/*/log' egs | tar -C "${work}" -xf -
cd "${work}/egs/mini"
rm -f RESULTS.md

options=(--config conf/tiny.yaml --size tiny)
./run.sh "${options[@]}" --router omni || fail "egs/mini/run.sh failed with router omni"
check_files omni
[ ! -e RESULTS.md ] || fail "a trial wrote into RESULTS.md"
[ -s data/train_sp/feats.scp ] || fail "stages 0 to 2 left no data/train_sp/feats.scp"
[ "$(wc -l < data/train_sp/feats.scp)" = "$((3 * $(wc -l < data/train/text)))" ] || fail "data/train_sp lacks utterances"
touch after_stage_2
for router in switch dense; do
    ./run.sh "${options[@]}" --stage 3 --router "${router}" || fail "egs/mini/run.sh failed with router ${router}"
    check_files "${router}"
done
./run.sh "${options[@]}" --stage 4 --checkpoint running || fail "egs/mini/run.sh failed with --checkpoint running"
[ -s exp/omni_tiny_running/report/index.html ] || fail "--checkpoint running left no report"
[ "$(rows_in results omni_tiny_running)" -ge 1 ] || fail "exp/RESULTS.md lacks rows for --checkpoint running"
changed=$(find data fbank -type f -newer after_stage_2 2> /dev/null | head -n 1)
[ -z "${changed}" ] || fail "stage 3 and later changed ${changed}, which belongs to an earlier stage"

mkdir -p ../own/conf ../own/data
cd ../own
write_own_data ../mini/data/test data/test
run_own_recipe || fail "a recipe with its own data, made as the README says, failed"
[ "$(wc -l < exp/omni_tiny/decode_test/text)" = 4 ] || fail "egs/own did not decode its 4 utterances"
grep -q '^%WER [0-9]' exp/omni_tiny/decode_test/wer || fail "egs/own has no %WER line"
echo "tiny recipe: own data through pipes and segments: $(grep '^%WER' exp/omni_tiny/decode_test/wer)"

cd /
rm -rf "${work}"
