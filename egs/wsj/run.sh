#!/usr/bin/env bash
# Wall Street Journal (LDC93S6B, LDC94S13B): 81 hours of read newspaper sentences.
#
#   ./run.sh --corpus_dir /corpora/LDC93S6B --corpus_dir /corpora/LDC94S13B   all stages
#   ./run.sh --corpus_dir /corpora/wsj --train_set train_si84                 flattened copy; the small training set
#   ./run.sh --corpus_dir /corpora/wsj --model exp/omni_8x84m                 evaluate a model from elsewhere
# shellcheck disable=SC2034
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

corpus_dir=(corpus)         # Where the discs are, or the folders wsj0 and wsj1; repeat it for several packages or discs
train_set=train_si284       # train_si84 (15 hours) or train_si284 (81 hours)
valid_set=test_dev93
test_sets="test_dev93 test_eval92"  # also test_eval93, test_dev93_5k, test_eval92_5k and test_eval93_5k
config=conf/base.yaml
token_type=unigram
vocab_size=500
speed_perturb=true
regime=whisper              # beside the words as they are: papers that compare with Whisper score after its normaliser
PYTHON_MODULES=whisper_normalizer  # beside what every recipe needs
download_opts=(sets)
data_opts=(sets nj max_removed)

# shellcheck source=../TEMPLATE/recipe.sh
source ../TEMPLATE/recipe.sh "$@"
