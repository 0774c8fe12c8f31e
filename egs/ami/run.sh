#!/usr/bin/env bash
# AMI (free): 100 hours of meetings of four or five people, on the headsets that they wear (IHM).
#
#   ./run.sh --corpus_dir /corpora/AMI                          all stages; stage 0 fetches what is not there
#   ./run.sh --model exp/omni_8x84m --corpus_dir /corpora/...   evaluate a model from elsewhere: dev and eval only
#   ./run.sh --corpus_dir /corpora/amicorpus --corpus_dir /corpora/ami_public_manual_1.6.1
# shellcheck disable=SC2034
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

corpus_dir=(corpus)         # Folders of the meetings and the unpacked annotations; stage 0 fetches into the first
train_set=train
valid_set=dev
test_sets="eval dev"
config=conf/base.yaml
token_type=unigram
vocab_size=500
speed_perturb=true
glm=conf/ami.glm            # Global map of the scoring, such as Kaldi's local/english.glm
regime=whisper              # Beside the corpus's own scoring, which is Kaldi's
PYTHON_MODULES=whisper_normalizer  # beside what every recipe needs
download_opts=(sets)
data_opts=(sets nj max_removed glm)

after_options() { glm=$(found "${glm}"); }

# shellcheck source=../TEMPLATE/recipe.sh
source ../TEMPLATE/recipe.sh "$@"
