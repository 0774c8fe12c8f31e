#!/usr/bin/env bash
# VoxPopuli, English with transcripts: 543 hours of speeches in the European Parliament, free.
#
#   ./run.sh --corpus_dir /corpora/voxpopuli                       all stages; stage 0 fetches the recordings if need be
#   ./run.sh --stage 3 --router switch                             another router on the same features
#   ./run.sh --model exp/omni_8x84m --corpus_dir /corpora/...      evaluate a model from elsewhere: test sets only
#   ./run.sh --test_sets "test en_accented" ...                    also the accents, which are a test set of their own
# shellcheck disable=SC2034
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

corpus_dir=corpus/voxpopuli     # With transcribed_data/ or raw_audios/ in it, or data/ of the copy on the dataset hub
audio_dir=audio                 # Where utterances are cut or unpacked to, if the copy holds recordings or tar files
train_set=train
valid_set=dev
test_sets="test"
config=conf/base.yaml           # sized for 543 hours; 84m.yaml and 8x84m.yaml are larger
token_type=unigram
vocab_size=1024
regime=whisper                  # beside the corpus's own, since published figures use its normaliser
PYTHON_MODULES=whisper_normalizer  # beside what every recipe needs
download_opts=(sets)
data_opts=(sets nj max_removed audio_dir)

# shellcheck source=../TEMPLATE/recipe.sh
source ../TEMPLATE/recipe.sh "$@"
