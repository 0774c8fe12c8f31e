#!/usr/bin/env bash
# Libriheavy: up to 50,000 hours of read English books (the audio of Libri-Light), free; tested on LibriSpeech.
#
#   ./run.sh --train_set small                                     509 hours; stage 0 fetches what is not there
#   ./run.sh --router switch                                       the published table: 8x84m with omni and switch ...
#   ./run.sh --config conf/84m.yaml                                ... and its dense twin
#   ./run.sh --corpus_dir /a/librilight --corpus_dir /a/libriheavy --corpus_dir /a/LibriSpeech
# shellcheck disable=SC2034
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# Audio (librilight), manifests (libriheavy) and LibriSpeech; one folder that holds all three will do
corpus_dir=(corpus/librilight corpus/libriheavy corpus/LibriSpeech)
train_set=large                   # small, medium or large: 509, 5042 or 50794 hours; each holds the one before
valid_set=dev                     # of LibriSpeech; Libriheavy's own sets are lh_dev, lh_test_clean, lh_test_other
test_sets="test_clean test_other dev_clean dev_other"
config=conf/8x84m.yaml
token_type=unigram
vocab_size=4096
max_removed=0.05
download_opts=(sets)
data_opts=(sets nj max_removed)

# shellcheck source=../TEMPLATE/recipe.sh
source ../TEMPLATE/recipe.sh "$@"
