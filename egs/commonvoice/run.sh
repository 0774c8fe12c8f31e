#!/usr/bin/env bash
# Common Voice, English scripted speech: 1500 to 2800 hours read by volunteers, free after registration.
#
#   ./run.sh --corpus_dir /corpora/cv-corpus-17.0-2024-03-15               all stages
#   ./run.sh --corpus_dir /corpora/cv-corpus-... --train_set validated     train on all validated but dev and test
#   ./run.sh --corpus_dir /corpora/cv-corpus-... --model exp/omni_8x84m    evaluate a model from elsewhere: test only
# shellcheck disable=SC2034
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

corpus_dir=corpus           # cv-corpus-<release>-<date>, its folder en, or what it is in, unpacked or as a .tar.gz
release=                    # Number of the release, such as 17.0, where its folder is not named so
train_set=train             # train, or validated: validated.tsv without dev and test
valid_set=dev
test_sets="test"
config=conf/base.yaml
token_type=unigram
vocab_size=1024
regime=whisper              # Published results are after Whisper's normaliser
PYTHON_MODULES="whisper_normalizer"
download_opts=()
data_opts=(sets nj max_removed release)

# shellcheck source=../TEMPLATE/recipe.sh
source ../TEMPLATE/recipe.sh "$@"
