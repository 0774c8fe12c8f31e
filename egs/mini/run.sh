#!/usr/bin/env bash
# Speech synthesised with espeak-ng: a whole recogniser in minutes, on any machine, without a download.
#
#   ./run.sh                                          all stages, with the omni router
#   ./run.sh --stage 3 --router switch                another router on the same features, reported beside it
#   ./run.sh --stage 3 --seed 2 --tag s2              another seed
# shellcheck disable=SC2034
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

corpus_dir=corpus           # Where the speech is, or is synthesised to
size=default                # default: about 2 h of training speech; tiny: minutes, to try the stages
train_set=train             # Data directories below data/
valid_set=dev
test_sets="test test_noisy test_phone test_fast"
config=conf/base.yaml
token_type=unigram
vocab_size=200
speed_perturb=true          # three times the voices for the price of features
allow_upsample=true         # test_phone is of 8 kHz
PYTHON_MODULES=espeakng_loader  # beside what every recipe needs
download_opts=(size)
data_opts=()

after_options() {
    check_choice size default tiny
    # Results on data of another size would replace rows of the same name.
    local made
    made=$(grep -o -- '--size=[a-z]*' data/.done/download 2> /dev/null || true)
    [[ ${stage} == 0 || -z ${made} || ${made} == "--size=${size}" ]] ||
        fail "data/ was made with ${made/=/ }; give that again, or start at stage 0"
    # A trial leaves the table of the repository alone.
    [[ ${size} == default || ${results} != RESULTS.md ]] || results=exp/RESULTS.md
}

# shellcheck source=../TEMPLATE/recipe.sh
source ../TEMPLATE/recipe.sh "$@"
