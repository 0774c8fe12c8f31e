#!/usr/bin/env bash
# Ten public benchmarks with one model: prepares the corpora that it finds, decodes and scores them with their recipes,
# and writes one table of eleven columns beside the published figures, exp/<model>/benchmark.{md,html}.
#
#   ./run.sh --model ../libriheavy/exp/omni_8x84m --corpora_root /corpora
#   ./run.sh --model model.pt --corpora_root /corpora --wsj_dir /ldc/LDC93S6B --wsj_dir /ldc/LDC94S13B
#
# A corpus that was scored with the same model is not decoded again, and stays in the table. See README.md.
# shellcheck disable=SC2034
set -euo pipefail
_called_from=${PWD}
cd "$(dirname "${BASH_SOURCE[0]}")"

model=                      # Model to evaluate: a packed file or an experiment
corpora_root=               # Folder that the corpora are in, or in its folders, two deep
librispeech_dir=()          # LibriSpeech, if it is elsewhere; this option and those of the others may be repeated
wsj_dir=()                  # LDC93S6B and LDC94S13B
tedlium_dir=()              # TED-LIUM release 3
switchboard_dir=()          # Hub5'00, also for CallHome: LDC2002S09 and LDC2002T43
ami_dir=()                  # AMI, recordings and annotations
chime6_dir=()               # CHiME-6
commonvoice_dir=()          # A release of Common Voice
fleurs_dir=()               # FLEURS
voxpopuli_dir=()            # VoxPopuli
columns=conf/columns.yaml   # Columns of the table
tag=                        # Added to the name of the model
note=                       # Sentence that stands above the table
checkpoint=average          # Weights to decode with: average, best, last, running, ema or a step
set=()                      # decode.key=value, overrides an option of decoding
nj=$(env -u OMP_NUM_THREADS nproc)  # Parallel jobs, and threads of decoding
ngpu=auto                   # GPUs for decoding: 0 or 1; auto: one if this machine has it
cmd=local                   # Where jobs run: a back end of `omni-asr launch`, with its options
max_removed=0.05            # Share of utterances that a set may lose
max_unknown=0.01            # Share of the words of a set's text that the model's units may fail to spell
pipes=                      # Commands in wav.scp and feats.scp: allow or refuse; as OMNI_ASR_PIPES says when empty, or allow
force=false                 # Do again what is complete
dry_run=false               # Print the commands of the recipes and run nothing
# shellcheck source=../TEMPLATE/utils/parse_options.sh
source ../TEMPLATE/utils/parse_options.sh
called_from=${_called_from}
# shellcheck source=../TEMPLATE/utils/common.sh
source ../TEMPLATE/utils/common.sh
template=../TEMPLATE
# shellcheck source=../TEMPLATE/utils/moving.sh
source ../TEMPLATE/utils/moving.sh
PYTHON_MODULES=whisper_normalizer
# shellcheck source=../TEMPLATE/path.sh
source ../TEMPLATE/path.sh

(($# == 0)) || fail "unexpected argument '$1'; options start with -- (--help lists them)"
[[ -n ${model} ]] || fail "--model is missing: a packed model, or the folder of an experiment"
[[ ${tag} =~ ^[A-Za-z0-9._-]*$ ]] || fail "--tag is part of a folder's name: letters, digits, '.', '_' and '-', not '${tag}'"
model=$(found "${model}")
[[ -e ${model} ]] || fail "there is no model ${model}"
model=$(realpath "${model}")
columns=$(found "${columns}")
name=${model%/model.pt}
name=${name##*/}
name=${name%.pt}${tag:+_${tag}}
scored=${name}
[[ ${checkpoint} == average ]] || scored+=_${checkpoint}  # as the recipes name it
out=exp/${scored}
stage_now=benchmark

# A recipe below data/ that links to the one of egs/, with data and experiments of its own: those of egs/ stay as they are.
link_recipe() {
    local item
    mkdir -p "data/$1"
    ln -sfn ../../TEMPLATE data/TEMPLATE
    for item in run.sh path.sh cmd.sh conf local; do
        [[ ! -e ../$1/${item} ]] || ln -sfn "../../../$1/${item}" "data/$1/${item}"
    done
}

# evaluate RECIPE SETS FOLDER...
evaluate() {
    local recipe=$1 sets=$2 value options=()
    shift 2
    for value in "$@"; do options+=(--corpus_dir "${value}"); done
    for value in "${set[@]}"; do options+=(--set "${value}"); done
    change link_recipe "${recipe}"
    run "data/${recipe}/run.sh" --stage 1 --stop_stage 5 --model "${model}" --exp_dir "exp/${name}" --test_sets "${sets}" \
        --regime whisper --results exp/RESULTS.md --checkpoint "${checkpoint}" --nj "${nj}" --ngpu "${ngpu}" --cmd "${cmd}" \
        --max_removed "${max_removed}" --max_unknown "${max_unknown}" --force "${force}" ${pipes:+--pipes "${pipes}"} "${options[@]}"
}

# A program has said what is wrong.
stop() {
    explained=true
    exit 1
}

folders=()
for recipe in librispeech wsj tedlium switchboard ami chime6 commonvoice fleurs voxpopuli; do
    declare -n _values=${recipe}_dir
    for folder in "${_values[@]}"; do
        folder=$(found "${folder}")
        [[ -d ${folder} ]] || fail "--${recipe}_dir: ${folder} is no folder"
        folders+=(--dir "${recipe}=$(realpath "${folder}")")
    done
    unset -n _values
done
if [[ -n ${corpora_root} ]]; then
    corpora_root=$(found "${corpora_root}")
    [[ -d ${corpora_root} ]] || fail "--corpora_root: ${corpora_root} is no folder"
    folders+=(--corpora-root "$(realpath "${corpora_root}")")
fi
((${#folders[@]})) || fail "--corpora_root is missing: the folder that the corpora are in"

if [[ ${dry_run} == false ]]; then
    lock data/.lock
    mkdir -p "${out}"
    if [[ -e ${out}/model ]]; then
        held=$(path_in "${out}/model")
        [[ ${held} == "${model}" ]] || fail "${out} holds the results of ${held}; give --tag NAME for those of ${model}"
    fi
    relative_paths <<< "${model}" > "${out}/model"
    folders+=(--found "${out}/found.json")
fi
found=$(python local/find.py --columns "${columns}" --recipes .. --earlier "${out}/found.json" \
    --scored "data/{}/exp/${scored}" "${folders[@]}") || stop
failed=()
while IFS= read -r -u 3 line; do
    IFS=$'\t' read -r -a fields <<< "${line}"
    log "${fields[0]}: ${fields[1]}, from ${fields[*]:2}"
    evaluate "${fields[@]}" || failed+=("${fields[0]}")
done 3< <(printf '%s' "${found:+${found}$'\n'}")
[[ ${dry_run} == false ]] || exit 0
python -m omni_asr.bin.benchmark --columns "${columns}" --found "${out}/found.json" --recipes data --name "${scored}" \
    --note "${note}" --out "${out}" "${failed[@]/#/--failed=}" || stop
((${#failed[@]} == 0)) || fail "${failed[*]} failed, see above; run it again to go on"
log "Successfully finished. [elapsed=${SECONDS}s]"
