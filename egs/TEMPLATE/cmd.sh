# shellcheck shell=bash disable=SC2034,SC2154
# How the jobs of each stage are started, sourced by recipe.sh after the options. --cmd is a back end of
# `omni-asr launch`, with options of its own where wanted: --cmd "local --max_jobs 2", --cmd "slurm --partition gpu". For
# other requests, such as more memory, give a recipe a cmd.sh of its own. Every one of these jobs may be started again:
# features and decoding begin anew, training goes on where it stopped.

read -r -a launch <<< "python -m omni_asr.bin.launch ${cmd}"
feats_cmd=("${launch[@]}" --mem 2G --restarts 3)
train_cmd=("${launch[@]}" --mem 16G --num_threads "${nj}" --restarts 20)
decode_cmd=("${launch[@]}" --mem 8G --num_threads "${nj}" --restarts 3)
