#!/usr/bin/env bash
# CHiME-6 (OpenSLR 150): 50 hours of dinner parties at home, on the microphones that the speakers wear; free.
#
#   ./run.sh --corpus_dir /corpora/CHiME6                       all stages; stage 0 fetches what is not there
#   ./run.sh --model exp/omni_8x84m --corpus_dir /corpora/...   evaluate a model from elsewhere: dev and eval only
# shellcheck disable=SC2034
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

corpus_dir=corpus           # The folder with audio/ and transcriptions/, or with the archives of OpenSLR unpacked
train_set=train             # Both channels, without the four faulty recordings
valid_set=dev
test_sets="eval dev"        # The left channel only, as everyone does
config=conf/base.yaml
token_type=unigram
vocab_size=500
speed_perturb=true
plain_paths=false           # Name files of two channels by their paths: other toolkits then read one channel for both
regime=whisper              # Papers use Whisper's normaliser, the challenge filters of its own: both are scored
PYTHON_MODULES=whisper_normalizer  # beside what every recipe needs
download_opts=(sets)
data_opts=(sets nj max_removed plain_paths)

# shellcheck source=../TEMPLATE/recipe.sh
source ../TEMPLATE/recipe.sh "$@"
