#!/usr/bin/env bash
# TED-LIUM release 3 (OpenSLR 51), legacy split: 452 hours of TED talks, free.
#
#   ./run.sh --corpus_dir /corpora/TEDLIUM_release-3               all stages; stage 0 fetches it where it is not there
#   ./run.sh --stage 3 --router switch                             another router on the same features
#   ./run.sh --model exp/omni_8x84m --corpus_dir /corpora/...      evaluate a model from elsewhere: test sets only
# shellcheck disable=SC2034
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

corpus_dir=corpus/TEDLIUM_release-3   # The folder with legacy/{train,dev,test}/{sph,stm}
train_set=train
valid_set=dev
test_sets="test dev"
config=conf/base.yaml             # sized for 452 hours; 84m.yaml and 8x84m.yaml are larger
token_type=unigram
vocab_size=1024
regime=whisper                    # beside the stm's, since papers that compare with Whisper use its normaliser
PYTHON_MODULES=whisper_normalizer  # beside what every recipe needs
download_opts=(sets)
data_opts=(sets nj max_removed)

# shellcheck source=../TEMPLATE/recipe.sh
source ../TEMPLATE/recipe.sh "$@"
