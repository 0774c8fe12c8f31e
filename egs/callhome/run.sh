#!/usr/bin/env bash
# CallHome American English: the CallHome half of eval2000, which papers call CallHome, and the corpus of 1997.
#
#   ./run.sh --corpus_dir /ldc/LDC97S42 --corpus_dir /ldc/LDC97T14 --corpus_dir ...    all stages; or --corpus_dir /ldc
#   ./run.sh --corpus_dir /ldc --model ../switchboard/exp/omni_base                evaluate a model from elsewhere
#   ./run.sh --corpus_dir /ldc --model ... --test_sets eval2000_callhm             the published column only
# shellcheck disable=SC2034
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

corpus_dir=(corpus)                 # Where the packages are, or one of them; may be repeated
train_set=train                     # 80 calls of LDC97S42
valid_set=devtest                   # 20 calls
test_sets="eval2000_callhm evltest" # the published column, and 20 calls of LDC97S42
config=conf/base.yaml
token_type=unigram
vocab_size=300
speed_perturb=true
plain_paths=false                   # Name files of two channels by their paths: other toolkits then read one channel for both
allow_upsample=true                 # it is of 8 kHz, the features of 16 kHz
regime=whisper                      # beside the sets' own scoring: papers that compare with Whisper
PYTHON_MODULES=whisper_normalizer   # beside what every recipe needs
download_opts=(sets)
data_opts=(sets nj max_removed plain_paths)

# shellcheck source=../TEMPLATE/recipe.sh
source ../TEMPLATE/recipe.sh "$@"
