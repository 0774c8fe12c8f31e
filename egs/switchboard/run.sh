#!/usr/bin/env bash
# Switchboard: 300 hours of telephone calls (LDC97S62) by the MS-State transcripts; test on eval2000, both halves.
#
#   ./run.sh --corpus_dir /ldc/LDC97S62 --corpus_dir /ldc/LDC2002S09 --corpus_dir /ldc/LDC2002T43   all stages
#   ./run.sh --corpus_dir /ldc                                      one folder with all packages in it
#   ./run.sh --corpus_dir /ldc --model exp/omni_8x84m               evaluate a model from elsewhere: eval2000 only
# shellcheck disable=SC2034
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

corpus_dir=(corpus)                # Where the packages are, or one of them; may be repeated
transcripts_dir=corpus/transcripts # Where stage 0 puts swb_ms98_transcriptions, unless a --corpus_dir has them
train_set=train_nodup              # train_nodup, or train_nodev: without the limit of --max_same
valid_set=train_dev
test_sets="eval2000"               # scored as a whole and by halves: swbd, callhm
dev_utterances=4000                # Utterances of train_dev, the first ones
max_same=300                       # Utterances of train_nodup that have the same words
config=conf/base.yaml
token_type=unigram
vocab_size=1000
speed_perturb=true
plain_paths=false                  # Name files of two channels by their paths: other toolkits then read one channel for both
allow_upsample=true                # it is of 8 kHz, the features of 16 kHz
regime=whisper                     # beside Hub5's own scoring: the published columns are made so
PYTHON_MODULES=whisper_normalizer  # beside what every recipe needs
download_opts=(sets transcripts_dir)
data_opts=(sets nj max_removed plain_paths transcripts_dir dev_utterances max_same)

# shellcheck source=../TEMPLATE/recipe.sh
source ../TEMPLATE/recipe.sh "$@"
