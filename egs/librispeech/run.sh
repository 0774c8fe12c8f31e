#!/usr/bin/env bash
# LibriSpeech (OpenSLR 12): 960 hours of read English books, free.
#
#   ./run.sh --corpus_dir /corpora/LibriSpeech                     all stages; stage 0 fetches what is not there
#   ./run.sh --train_set train_clean_100 --config conf/base.yaml   the small training set
#   ./run.sh --model exp/omni_8x84m --corpus_dir /corpora/...      evaluate a model from elsewhere: test sets only
# shellcheck disable=SC2034
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

corpus_dir=corpus/LibriSpeech   # The folder with dev-clean/, test-clean/, ...; stage 0 fetches the parts that it lacks
train_set=train_960             # train_clean_100, train_clean_360, train_other_500, train_460 or train_960
valid_set=dev
test_sets="test_clean test_other dev_clean dev_other"
config=conf/base.yaml           # 8 experts in each of 26 layers; 84m.yaml is its dense twin
token_type=unigram
vocab_size=1024
regime=whisper                  # Papers give either: words as they are, and after Whisper's normaliser
PYTHON_MODULES=whisper_normalizer  # for that
download_opts=(sets)
data_opts=(sets nj max_removed)

# shellcheck source=../TEMPLATE/recipe.sh
source ../TEMPLATE/recipe.sh "$@"
