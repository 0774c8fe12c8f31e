#!/usr/bin/env bash
# FLEURS, American English: 10 hours of sentences from Wikipedia, read aloud, free.
#
#   ./run.sh --corpus_dir /corpora/fleurs                              all stages; stage 0 fetches what is not there
#   ./run.sh --model exp/omni_8x84m --corpus_dir /corpora/fleurs       evaluate a model from elsewhere: test set only
# shellcheck disable=SC2034
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

corpus_dir=corpus           # The folder with data/en_us or en_us, or with metadata/en_us as lhotse leaves it
train_set=train
valid_set=dev
test_sets="test"
config=conf/base.yaml
token_type=unigram
vocab_size=256
speed_perturb=true
regime=whisper              # Published results are after Whisper's normaliser
PYTHON_MODULES="whisper_normalizer"
download_opts=(sets)
data_opts=(sets nj max_removed)

# shellcheck source=../TEMPLATE/recipe.sh
source ../TEMPLATE/recipe.sh "$@"
