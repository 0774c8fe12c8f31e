# shellcheck shell=bash disable=SC2034,SC2154
# The stages of every recipe, sourced by egs/<corpus>/run.sh with its command line (see egs/README.md):
#   0 fetch   1 prepare   2 features, tokens   3 train   4 decode   5 score   6 report
set -euo pipefail
SECONDS=0
_called_from=${OLDPWD:-${PWD}}
_typed=("$@")

# An option comes from run.sh or the command line. One of the same name in the environment is forgotten.
for _name in $(compgen -e); do
    grep -q "^${_name}=" "${BASH_SOURCE[0]}" || continue
    grep -q "^${_name}=" "${BASH_SOURCE[1]##*/}" || unset "${_name}"
done

stage=${stage-0}                                 # First stage to run (0 to 6)
stop_stage=${stop_stage-6}                       # Last stage to run
skip_stages=${skip_stages-}                      # Stages to leave out, e.g. "4 5"
router=${router-}                                # dense, switch, omni, ...; what the configuration says, or omni
config=${config-conf/base.yaml}                  # Options of model and training; those not in it keep their defaults
tag=${tag-}                                      # Added to the name of the experiment
exp_dir=${exp_dir-}                              # Experiment to write; exp/<router>_<config>[_<tag>] when empty
set=("${set[@]}")                                # section.key=value, overrides an option of the configuration
seed=${seed-1}                                   # Seed of training
nj=${nj-$(env -u OMP_NUM_THREADS nproc)}         # Parallel jobs, and threads of training and decoding
ngpu=${ngpu-auto}                                # GPUs for training, on each node; decoding uses one; auto: one if this machine has it
nnodes=${nnodes-1}                               # Machines that train together, with --cmd slurm
cmd=${cmd-local}                                 # Where jobs run: a back end of `omni-asr launch`, with its options
corpus_dir=("${corpus_dir[@]}")                  # Where the corpus is
checkpoint=${checkpoint-average}                 # Weights to decode with: average, best, last, running, ema or a step
model=${model-}                                  # Decode with this model (file or experiment) instead of training one
train_set=${train_set-train}                     # Data directory for training, below data/
train_sets=${train_sets-}                       # Train on sets of several recipes together: "librispeech/train_960 commonvoice/train"
train_weights=${train_weights-}                 # How often an epoch sees each of them, e.g. "1 0.5"; once when empty
valid_set=${valid_set-dev}                       # Data directory for validation
test_sets=${test_sets-test}                      # Data directories to decode and score
token_type=${token_type-unigram}                 # Output units: char, bpe or unigram
vocab_size=${vocab_size-500}                     # Number of units; without meaning for char
speed_perturb=${speed_perturb-false}             # Train on every utterance at 0.9, 1.0 and 1.1 of its speed
allow_upsample=${allow_upsample-false}           # Take audio of a lower rate than conf/fbank.conf says, such as telephone speech
pipes=${pipes-}                                  # Commands in wav.scp and feats.scp: allow or refuse; as OMNI_ASR_PIPES says when empty, or allow
max_removed=${max_removed-0.05}                  # Share of utterances that features or training may do without
max_unknown=${max_unknown-0.01}                  # Share of the words of training, validation or test text that units may fail to spell
regime=${regime-}                                # Score also in this regime, beside the corpus's own: whisper; or none
score_by=${score_by-length}                      # Break results down by length or tables of the test sets, e.g. "length utt2snr"
worst=${worst-30}                                # Worst utterances on each test set's page of errors; 0: no pages
disturb=${disturb-100}                           # Utterances decoded with disturbed routing in stage 6; 0: none
results=${results-RESULTS.md}                    # Table that stage 5 writes rows into
profile=${profile-}                              # Steps A:B of training to trace, into the experiment's profile/
force=${force-false}                             # Do again what is complete
dry_run=${dry_run-false}                         # Print the commands of the chosen stages and run nothing
# shellcheck source=utils/parse_options.sh
source "$(dirname "${BASH_SOURCE[0]}")/utils/parse_options.sh"


template=$(dirname "${BASH_SOURCE[0]}")
called_from=${_called_from}
# shellcheck source=utils/common.sh
source "${template}/utils/common.sh"
# shellcheck source=utils/moving.sh
source "${template}/utils/moving.sh"
# shellcheck source=utils/joining.sh
source "${template}/utils/joining.sh"
# shellcheck source=utils/sets.sh
source "${template}/utils/sets.sh"
(($# == 0)) || fail "unexpected argument '$1'; options start with -- (--help lists them)"
if declare -F after_options > /dev/null; then after_options; fi

check_number stage 0 6
check_number stop_stage 0 6
check_number nj 1
check_number seed 0
check_number vocab_size 1
check_number worst 0
check_number disturb 0
[[ ${ngpu} == auto ]] || check_number ngpu 0
check_number nnodes 1
((stage <= stop_stage)) || fail "--stage ${stage} comes after --stop_stage ${stop_stage}; there is nothing to run"
for _number in ${skip_stages//,/ }; do
    [[ ${_number} == [0-6] ]] || fail "--skip_stages has '${_number}'; stages are numbers from 0 to 6"
done
check_choice token_type char bpe unigram
[[ -z ${regime} ]] || check_choice regime whisper none
[[ ${regime} != none ]] || regime=
if [[ -n ${pipes} ]]; then  # every program of the run, and the jobs that these start, see it
    check_choice pipes allow refuse
    export OMNI_ASR_PIPES=${pipes}
fi
[[ -z ${profile} || ${profile} =~ ^[0-9]+:[0-9]+$ ]] || fail "--profile must be a range of steps such as 20:25, not '${profile}'"
[[ ${checkpoint} =~ ^(average|best|last|running|ema|[0-9]+)$ ]] ||
    fail "--checkpoint must be average, best, last, running, ema or the number of a step, not '${checkpoint}'"
[[ ${tag} =~ ^[A-Za-z0-9._-]*$ ]] || fail "--tag is part of a folder's name: letters, digits, '.', '_' and '-', not '${tag}'"
for _name in max_removed max_unknown; do
    [[ ${!_name} =~ ^(0?\.[0-9]+|0|1|0\.|1\.0*)$ ]] || fail "--${_name} must be from 0 to 1, not '${!_name}'"
done
for _index in "${!corpus_dir[@]}"; do corpus_dir[_index]=$(found "${corpus_dir[_index]}"); done
config=$(found "${config}")
[[ -e ${config} || ! -e ${template}/${config} ]] || config=${template}/${config}  # a size that every recipe has
# shellcheck source=path.sh
source "$(own path.sh)"
[[ -n ${router} || ! -e ${config} ]] || router=$(configured model.router)
router=${router:-omni}
model=$(found "${model}")
if [[ -z ${exp_dir} ]]; then
    _name=${config##*/}
    _name=${router}_${_name%.*}
    if [[ -n ${model} ]]; then  # a model from outside is called like its file, or like its experiment
        _name=${model%/}
        _name=${_name%/model.pt}
        _name=${_name##*/}
        _name=${_name%.pt}
    fi
    exp_dir=exp/${_name}${tag:+_${tag}}
fi
if [[ ${checkpoint} != average ]]; then  # other weights of an experiment are decoded beside it, as a model from outside
    model=${model:-${exp_dir}}
    exp_dir+=_${checkpoint}
fi

read -r -a test_names <<< "${test_sets}"
((${#test_names[@]})) || fail "--test_sets names no set"
own_train_sets=("${train_set}") joined_names=() joined_dirs=() weights=
plan_joining
_sets=("${test_names[@]}")
[[ -n ${model} ]] || _sets=("${own_train_sets[@]}" "${valid_set}" "${test_names[@]}")
all_sets=()  # what this run works on, each set once; a model from outside needs only the test sets
for _name in "${_sets[@]}"; do
    [[ " ${all_sets[*]} " == *" ${_name} "* ]] || all_sets+=("${_name}")
done
sets=("${all_sets[@]}")  # for download_opts and data_opts
hand_on corpus_dir "${download_opts[@]}"
download_arguments=("${arguments[@]}")
hand_on corpus_dir "${data_opts[@]}"
data_arguments=("${arguments[@]}")
features_of_train=${train_set}
[[ ${speed_perturb} == false || -n ${train_sets} ]] || features_of_train=${train_set}_sp
_units=${token_type}
[[ ${token_type} == char ]] || _units+=${vocab_size}
lang_dir=${lang_dir-data/lang_${_units}${train_sets:+_${train_set}}}
train_overrides=(--set "data.max_unknown=${max_unknown}" --set "data.max_removed=${max_removed}") decode_overrides=()
[[ -z ${weights} ]] || train_overrides+=(--set "data.weights=${weights}")
for _override in "${set[@]}"; do
    case ${_override} in
        model.router=*) fail "--set ${_override}: give it as --router ${_override#*=}" ;;
        data.weights=*) fail "--set ${_override}: give --train_sets and --train_weights" ;;
        train.seed=*) fail "--set ${_override} stands beside --seed ${seed}; use --seed alone" ;;
        decode.*) decode_overrides+=(--set "${_override}") ;;
        *) train_overrides+=(--set "${_override}") ;;
    esac
done
decoding_model=${model:-${exp_dir}/model.pt}
evaluates=${exp_dir}/evaluates  # names the model from outside whose results the folder holds
if [[ -n ${model} && ${dry_run} == false ]]; then
    [[ -e ${model} ]] || fail "there is no model ${model}"
    [[ ${model} != *.y?(a)ml ]] || fail "--model ${model} is a configuration; name an experiment or its model.pt"
    if [[ -e ${exp_dir}/model.pt && ! ${model} -ef ${exp_dir} && ! ${model} -ef ${exp_dir}/model.pt ]]; then
        fail "${exp_dir} holds a model that was trained here; give --tag NAME for what ${model} decodes"
    fi
    [[ ! -e ${evaluates} || $(path_in "${evaluates}") -ef ${model} ]] ||
        fail "${exp_dir} holds what $(path_in "${evaluates}") decoded; give --tag NAME for what ${model} decodes"
fi

# --- stages -------------------------------------------------------------------------------------------------------

stage_0() {  # the corpus, where it may be fetched or made
    local marker=data/.done/download description scripts=(local/download.sh local/*.py)
    if [[ ! -e local/download.sh ]]; then
        log "stage 0: nothing to fetch; this corpus is obtained by hand and named with --corpus_dir"
        return 0
    fi
    description=$(describe "options: $(quoted "${download_arguments[@]}")" "${scripts[@]/#/@}")
    if complete "${marker}" "${description}" "${corpus_dir[@]}"; then
        log "stage 0: ${corpus_dir[*]} is complete, nothing to do"
        return 0
    fi
    begin_step "${marker}"
    run local/download.sh "${download_arguments[@]}"
    finish_step "${marker}" "${description}"
}

stage_1() {  # data directories, validated and counted; only sets that are not there, or not from the same, are made
    local description name outputs=() scripts=(local/data.sh local/*.py) made=()
    for name in "${all_sets[@]}"; do outputs+=("data/${name}"/{wav.scp,text,utt2spk}); done
    if [[ ! -e local/data.sh ]]; then
        log "stage 1: no local/data.sh; checking the directories that are there"
        need 1 "${outputs[@]}"
        check_sets "${all_sets[@]}"
        return 0
    fi
    for name in "${corpus_dir[@]}"; do
        [[ ${dry_run} == true || -e ${name} ]] ||
            fail "stage 1: the corpus is not at '${name}'; name its place with --corpus_dir, or let stage 0 fetch it"
    done
    local options=() option
    for option in "${data_arguments[@]}"; do
        [[ ${option} =~ ^--(nj|max_removed|sets)= ]] || options+=("${option}")  # they change no byte of a set
        [[ ! -f ${option#*=} ]] || scripts+=("${option#*=}")  # such as a glm: what is in it counts
    done
    description=$(describe "options: $(quoted "${options[@]}")" "${scripts[@]/#/@}" @data/.done/download)
    sets=()  # for data_opts
    for name in "${all_sets[@]}"; do
        complete "data/.done/data_${name}" "${description}" "data/${name}"/{wav.scp,text,utt2spk} || sets+=("${name}")
    done
    if ((${#sets[@]} == 0)); then
        log "stage 1: the data directories are complete, nothing to do"
        return 0
    fi
    hand_on corpus_dir "${data_opts[@]}"
    for name in "${sets[@]}"; do [[ ! -e data/${name} ]] || own_data; done  # before hours of work
    change rm -rf data/.new
    change mkdir -p data/.new
    run local/data.sh --data_dir=data/.new "${arguments[@]}"
    for name in "${sets[@]}"; do
        [[ ${dry_run} == true || -d data/.new/${name} ]] || fail "stage 1: local/data.sh made no set named ${name}"
    done
    made=("${sets[@]}")
    [[ ${dry_run} == true ]] || mapfile -t made < <(ls data/.new)
    for name in "${made[@]}"; do make_spk2utt "data/.new/${name}"; done
    run python -m omni_asr.bin.validate "${made[@]/#/data/.new/}"
    for name in "${made[@]}"; do
        put_set "${name}"
        finish_step "data/.done/data_${name}" "${description}"
    done
    change rm -rf data/.new
    [[ ${dry_run} == true ]] || print_counts "${made[@]}"
}

stage_2() {  # features, their statistics, output units
    local name unmade=()
    for name in "${all_sets[@]}"; do
        need 1 "data/${name}/wav.scp" "data/${name}/text" "data/${name}/utt2spk"
    done
    for name in "${all_sets[@]}"; do
        if [[ ${speed_perturb} == true && -z ${model} && " ${own_train_sets[*]} " == *" ${name} "* ]]; then
            perturb "${name}"
            name+=_sp
        fi
        if complete "data/.done/fbank_${name}" "$(origin_of_features "${name}")" \
            "data/${name}"/{feats.scp,utt2num_frames,fbank.conf}; then
            log "stage 2: features of ${name} are complete, nothing to do"
        else
            unmade+=("${name}")
        fi
    done
    if ((${#unmade[@]} > 0)); then  # before hours of work, and before features that are there go
        for name in "${unmade[@]}"; do make_spk2utt "data/${name}"; done
        run python -m omni_asr.bin.validate --no-feats "${unmade[@]/#/data/}"
    fi
    for name in "${unmade[@]}"; do make_features "${name}"; done
    [[ -z ${model} ]] || return 0
    [[ -z ${train_sets} ]] || join_train_sets
    make_cmvn
    make_tokens
}

perturb() {
    local dir=data/$1 marker=data/.done/perturb_$1 description
    description=$(describe "@${dir}/wav.scp" "@${dir}/segments" "@${dir}/text" "@${dir}/utt2spk")
    if complete "${marker}" "${description}" "${dir}_sp"/{wav.scp,text,utt2spk}; then return 0; fi
    keep_foreign "${marker}" "${dir}_sp"
    begin_step "${marker}"
    change rm -rf data/.new_sp
    run python -m omni_asr.bin.perturb_speed "${dir}" data/.new_sp
    put_in_place data/.new_sp "${dir}_sp"
    finish_step "${marker}" "${description}"
}

origin_of_features() { describe "@$(own conf/fbank.conf)" "@data/$1/wav.scp" "@data/$1/segments" "@data/$1/utt2spk"; }

make_features() {
    local name=$1 dir=data/$1 marker=data/.done/fbank_$1 extracted=data/.done/extracted_$1
    local jobs=${nj} utterances outputs description upsample=()
    [[ ${allow_upsample} == false ]] || upsample=(--allow-upsample)
    description=$(origin_of_features "${name}")
    keep_foreign "${marker}" "${dir}"/{feats.scp,utt2num_frames,fbank.conf,removed_utts} fbank/"${name}".*.ark
    begin_step "${marker}"
    change rm -f "${dir}/feats.scp"  # first, since its archives are written again
    if [[ ${dry_run} == false ]]; then
        utterances=$(wc -l < "${dir}/utt2spk")
        ((jobs <= utterances)) || jobs=${utterances}
    fi
    mapfile -t outputs < <(files_of_jobs "fbank/${name}" "${jobs}")
    if ! complete "${extracted}" "${description} ${jobs} jobs" "${outputs[@]}"; then
        keep_foreign "${extracted}" "${dir}/split${jobs}"
        begin_step "${extracted}"
        run python -m omni_asr.bin.split "${dir}" "${jobs}"
        run "${feats_cmd[@]}" "JOB=1:${jobs}" "fbank/log/${name}.JOB.log" \
            python -m omni_asr.bin.make_fbank "${upsample[@]}" --conf "$(own conf/fbank.conf)" \
            "${dir}/split${jobs}/JOB" "fbank/${name}.JOB"
        change rm -rf "${dir}/split${jobs}"
        finish_step "${extracted}" "${description} ${jobs} jobs"
    fi
    run python -m omni_asr.bin.collect_feats --max-removed "${max_removed}" "${dir}" "${jobs}" "fbank/${name}"
    change rm -f "${extracted}"
    finish_step "${marker}" "${description}"
}

make_cmvn() {
    local dir=data/${features_of_train} marker=data/.done/cmvn_${features_of_train} description maker="fbank"
    [[ -z ${train_sets} ]] || maker="join"
    description=$(describe "@${dir}/feats.scp" "@${dir}/fbank.conf" "@data/.done/${maker}_${features_of_train}")
    if complete "${marker}" "${description}" "${dir}/cmvn.ark"; then
        log "stage 2: ${dir}/cmvn.ark is complete, nothing to do"
        return 0
    fi
    keep_foreign "${marker}" "${dir}/cmvn.ark"
    begin_step "${marker}"
    run python -m omni_asr.bin.compute_cmvn "${dir}" "${dir}/cmvn.ark"
    finish_step "${marker}" "${description}"
}

make_tokens() {
    local text=data/${train_set}/text marker=data/.done/${lang_dir##*/} description
    description=$(describe "@${text}" "${lang_dir##*/}")
    if complete "${marker}" "${description}" "${lang_dir}/tokens.txt"; then
        log "stage 2: ${lang_dir} is complete, nothing to do"
        return 0
    fi
    keep_foreign "${marker}" "${lang_dir}"
    begin_step "${marker}"
    change rm -rf data/.new_lang
    run python -m omni_asr.bin.train_tokenizer --type "${token_type}" --size "${vocab_size}" "${text}" data/.new_lang
    put_in_place data/.new_lang "${lang_dir}"
    finish_step "${marker}" "${description}"
}

stage_3() {  # the model
    local train=data/${features_of_train} valid=data/${valid_set} marker=${exp_dir}/.done/data
    local name description maker=1
    [[ ! -e ${evaluates} ]] || fail "stage 3: ${exp_dir} holds what $(path_in "${evaluates}") decoded (--model); give --tag NAME"
    [[ -z ${train_sets} && ${features_of_train} == "${train_set}" ]] || maker=2
    need "${maker}" "${train}/text"
    need 1 "${valid}/text"
    need 2 "${train}"/{feats.scp,utt2num_frames,cmvn.ark} "${valid}"/{feats.scp,utt2num_frames}
    need 2 "${lang_dir}/tokens.txt"
    if chosen 4; then  # a misspelt set does not cost a training
        for name in "${test_names[@]}"; do need 2 "data/${name}"/{feats.scp,utt2num_frames}; done
    fi
    description=$(describe "@${train}"/{utt2num_frames,text,cmvn.ark} "@${valid}"/{utt2num_frames,text} \
        "@${lang_dir}/tokens.txt")
    lock "${exp_dir}/.lock"
    if [[ ${force} == true ]] && trained; then
        refuse_second_before
        log "stage 3: ${exp_dir} is trained anew; what was there is kept as ${exp_dir}.before"
        change mv "${exp_dir}" "${exp_dir}.before"
        unlock  # it has moved
        lock "${exp_dir}/.lock"
    elif [[ -f ${marker} && ${dry_run} == false && $(< "${marker}") != "${description}" ]] && trained; then
        fail "stage 3: ${exp_dir} was trained on other data or units; give --tag NAME, or --force true to train anew"
    fi
    finish_step "${marker}" "${description}"  # of the data that training starts with; the program knows how far it got
    local command=(python -m omni_asr.bin.train --config "${config}" --router "${router}" --seed "${seed}"
        --train-dir "${train}" --valid-dir "${valid}" --lang-dir "${lang_dir}" --cmvn "${train}/cmvn.ark"
        "${test_names[@]/#/--test-dir=data/}" --exp-dir "${exp_dir}" --ngpu "${ngpu}" ${profile:+--profile "${profile}"}
        --set "decode.max_unknown=${max_unknown}" "${decode_overrides[@]}" "${train_overrides[@]}")
    if [[ ${cmd} == local || ${cmd} == "local "* ]]; then  # on the terminal; it writes its own train.log
        local threads=${nj}
        if ((ngpu > 1)); then
            command=(python -m omni_asr.jobs.torchrun --standalone --nproc-per-node "${ngpu}" "${command[@]:1}")
            threads=$((nj > ngpu ? nj / ngpu : 1))
        fi
        run env OMP_NUM_THREADS="${threads}" "${command[@]}"
    else
        log "stage 3: training; follow it in ${exp_dir}/train.log"
        run "${train_cmd[@]}" --nodes "${nnodes}" --gpu "${ngpu}" "${exp_dir}/log/train.log" "${command[@]}"
    fi
    need 3 "${exp_dir}/model.pt"
}

trained() { [[ -e ${exp_dir}/model.pt ]] || compgen -G "${exp_dir}/checkpoints/state-*.pt" > /dev/null; }

refuse_second_before() {  # so that nothing is lost, however often something is forced
    [[ ! -e ${exp_dir}.before ]] || fail "${exp_dir}.before is there from an earlier --force true; rename or remove it"
}

stage_4() {  # words for every test set
    local name out marker description
    need 3 "${decoding_model}"
    for name in "${test_names[@]}"; do need 2 "data/${name}"/{feats.scp,utt2num_frames}; done
    lock "${exp_dir}/.lock"
    [[ -z ${model} ]] || finish_step "${evaluates}" "$(realpath -m "${model}" | relative_paths)"
    for name in "${test_names[@]}"; do
        out=${exp_dir}/decode_${name} marker=${exp_dir}/.done/decode_${name}
        description=$(describe "model $(age_of_model)" "options: ${decode_overrides[*]}" \
            "@data/${name}/feats.scp" "@data/.done/fbank_${name}")
        if complete "${marker}" "${description}" "${out}"/{text,score,tokens.jsonl,load.json}; then
            log "stage 4: ${out} is complete, nothing to do"
            continue
        fi
        begin_step "${marker}"
        change rm -rf "${exp_dir}/.new_${name}"
        log "stage 4: decoding ${name}"
        run "${decode_cmd[@]}" --gpu "${one_gpu}" "${exp_dir}/log/decode_${name}.log" \
            python -m omni_asr.bin.decode --model "${decoding_model}" --checkpoint "${checkpoint}" \
            --ngpu "${one_gpu}" --set "decode.max_unknown=${max_unknown}" "${decode_overrides[@]}" "data/${name}" "${exp_dir}/.new_${name}"
        put_in_place "${exp_dir}/.new_${name}" "${out}"
        finish_step "${marker}" "${description}"
    done
}

stage_5() {  # error rates
    local name units=${lang_dir} tables options=() command
    for name in "${test_names[@]}"; do
        need 1 "data/${name}/text"
        need 4 "${exp_dir}/decode_${name}/text"
    done
    [[ -d ${units} && -z ${model} ]] || units=-
    read -r -a tables <<< "${score_by}"
    for name in "${tables[@]}"; do options+=(--by "${name}"); done
    [[ -n ${model} || ! -s data/${train_set}/text ]] || options+=(--train-text "data/${train_set}/text")
    for name in "${test_names[@]}"; do
        log "stage 5: ${name}"
        command=("$(own local/score.sh)" "data/${name}" "${units}" "${exp_dir}/decode_${name}" "${options[@]}")
        run "${command[@]}"
        check_scored_words "${name}"
        [[ -z ${regime} ]] || run "${command[@]}" --regime "${regime}"
    done
    run python -m omni_asr.bin.results --exp-dir "${exp_dir}" --results "${results}" "${test_names[@]}"
}

stage_6() {  # routing analysis, pages of errors, curves, table
    local name marker=${exp_dir}/.done/routing description
    need 3 "${decoding_model}"
    for name in "${test_names[@]}"; do
        need 2 "data/${name}"/{feats.scp,utt2num_frames}
        need 5 "${exp_dir}/decode_${name}/wer"
    done
    description=$(describe "model $(age_of_model)" "sets: ${test_sets}" "disturb ${disturb}" "${test_names[@]/#/@data/.done/fbank_}")
    if complete "${marker}" "${description}" "${exp_dir}/routing.json"; then
        log "stage 6: the routing is analysed, nothing to do"
    else
        begin_step "${marker}"
        run "${decode_cmd[@]}" --gpu "${one_gpu}" "${exp_dir}/log/analyze_routing.log" \
            python -m omni_asr.bin.analyze_routing --ngpu "${one_gpu}" --disturb "${disturb}" --out "${exp_dir}/routing.json" \
            --checkpoint "${checkpoint}" "${decoding_model}" "${test_names[@]/#/data/}"
        finish_step "${marker}" "${description}"
    fi
    if [[ -e ${exp_dir}/routing.json && -z ${model} ]]; then  # a dense model has none
        run python -m omni_asr.bin.results --routing --exp-dir "${exp_dir}" --results "${results}"
    fi
    for name in "${test_names[@]}"; do
        ((worst == 0)) || run python -m omni_asr.bin.errors --most "${worst}" "data/${name}" "${exp_dir}/decode_${name}"
    done
    run python -m omni_asr.bin.report "${exp_dir}" --data-dir data "${test_names[@]}"
}

# --- the run ------------------------------------------------------------------------------------------------------

chosen() {
    ((stage <= $1 && $1 <= stop_stage)) && [[ " ${skip_stages//,/ } " != *" $1 "* && ! ($1 == 3 && -n ${model}) ]]
}

check_configuration() {  # before any work, so that a misspelt option does not show after hours
    [[ -e ${config} ]] || fail "there is no configuration ${config}; choose one of: $(echo conf/*.yaml), or a size of egs/TEMPLATE/conf"
    local option overrides=()
    for option in "model.router=${router}" "${set[@]}"; do overrides+=(--set "${option}"); done
    python -m omni_asr.bin.show_config --quiet --config "${config}" "${overrides[@]}"
    [[ ${force} == false ]] || ! trained || refuse_second_before
}

log "$(quoted "$0" "${_typed[@]}")"
OMNI_ASR_COMMAND=$(quoted "egs/${PWD##*/}/run.sh" "${_typed[@]}")  # what an experiment notes as its command
export OMNI_ASR_COMMAND
if [[ ${dry_run} == false ]]; then
    read -r -a _back_end <<< "${cmd}"
    python -m omni_asr.bin.launch "${_back_end[@]}" --check --nodes "${nnodes}"
    if chosen 3; then check_configuration; fi
fi
if chosen 3 || chosen 4 || chosen 6; then
    [[ ${ngpu} != auto ]] || ngpu=$(count_gpus)
    one_gpu=$((ngpu > 1 ? 1 : ngpu))
fi
# shellcheck source=cmd.sh
source "$(own cmd.sh)"

titles=("fetch the corpus" "prepare data directories" "features, statistics, units" "train ${exp_dir}"
    "decode ${test_sets}" "score" "report")
if ((stage <= 2)); then
    lock data/.lock
    change mkdir -p data/.done
    note_place
fi
follow_move data
if [[ -n ${train_sets} && ${dry_run} == false ]] && chosen 2; then check_joining; fi
for stage_now in 0 1 2 3 4 5 6; do
    if ((stage_now == 3)); then
        unlock
        ((stop_stage < 3)) || use_data
    fi
    if chosen "${stage_now}"; then
        log "stage ${stage_now}: ${titles[stage_now]}"
        ((stage_now < 3)) || [[ ! -d ${exp_dir} ]] || lock "${exp_dir}/.lock"
        "stage_${stage_now}"
    fi
done
log "Successfully finished. [elapsed=${SECONDS}s]"
