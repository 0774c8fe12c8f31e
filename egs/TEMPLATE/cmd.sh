# shellcheck shell=bash disable=SC2034,SC2154
# How the jobs of each stage are started, sourced by recipe.sh after the options. --cmd is a back end of
# `omni-asr launch`, with options of its own where wanted: --cmd "local --max_jobs 2". For other requests, such as more
# memory, give a recipe a cmd.sh of its own.

read -r -a launch <<< "python -m omni_asr.bin.launch ${cmd}"
feats_cmd=("${launch[@]}" --mem 2G)
train_cmd=("${launch[@]}" --mem 16G --num_threads "${nj}")
decode_cmd=("${launch[@]}" --mem 8G --num_threads "${nj}")
