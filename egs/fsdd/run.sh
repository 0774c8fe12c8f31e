#!/usr/bin/env bash
# Free Spoken Digit Dataset: digit strings made of real recordings by six speakers.
#
#   ./run.sh                                          fetch the corpus, then all stages with the omni router
#   ./run.sh --corpus_dir free-spoken-digit-dataset   the same with a copy of the repository
#   ./run.sh --split speaker --held_out theo          test on a speaker who was never heard
#   ./run.sh --stage 3 --router switch                another router on the same features, reported beside it
# shellcheck disable=SC2034
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

corpus_dir=corpus           # Where the corpus is, or is fetched to
split=official              # official: recordings 0-4 are the test; speaker: hold one speaker out (sets get its name)
held_out=theo               # The speaker that --split speaker holds out; without meaning for official
train_set=train             # Data directories below data/
valid_set=dev
test_sets="test"
config=conf/base.yaml
token_type=unigram          # ten words: nearly every unit is a whole digit
vocab_size=28
speed_perturb=true
allow_upsample=true         # it is of 8 kHz, the features of 16 kHz
download_opts=()
data_opts=(split held_out)

after_options() {  # sets, units and experiments of each split have names of their own
    check_choice split official speaker
    if [[ ${split} == speaker ]]; then
        [[ -n ${held_out} ]] || fail "--split speaker needs a name, such as --held_out theo"
        local other=_without_${held_out}
        train_set+=${other}
        valid_set+=${other}
        test_sets=${test_sets// /${other} }${other}
        lang_dir=data/lang_${token_type}${vocab_size}${other}
        tag=${tag:+${tag}_}without_${held_out}
    fi
}

# shellcheck source=../TEMPLATE/recipe.sh
source ../TEMPLATE/recipe.sh "$@"
