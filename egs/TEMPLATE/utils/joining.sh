# shellcheck shell=bash disable=SC2034,SC2154
# Training on sets of several recipes together (--train_sets, --train_weights), whose features their own stage 2 has made.
# Uses the recipe's options, and sets: joined_names, joined_dirs, own_train_sets, train_set, weights.

# Reads --train_sets: which directories are joined, under which names of their corpora, into which one.
plan_joining() {
    local entries=() factors=() entry corpus folder index
    read -r -a entries <<< "${train_sets}"
    read -r -a factors <<< "${train_weights}"
    if ((${#entries[@]} == 0)); then
        [[ -z ${train_weights} ]] || fail "--train_weights needs --train_sets, the sets that they are for"
        return 0
    fi
    ((${#factors[@]} == 0 || ${#factors[@]} == ${#entries[@]})) ||
        fail "--train_weights has ${#factors[@]} numbers for the ${#entries[@]} sets of --train_sets"
    train_set="" own_train_sets=() weights=""
    for index in "${!entries[@]}"; do
        entry=${entries[index]}
        [[ ${entry} =~ ^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$ ]] ||
            fail "--train_sets: '${entry}' is not <recipe>/<set>, such as librispeech/train_960"
        [[ " ${entries[*]:0:index} " != *" ${entry} "* ]] || fail "--train_sets names ${entry} twice; a weight of 2 has it seen twice"
        corpus=${entry%/*} folder=../${entry%/*}/data/${entry#*/}
        if [[ ${corpus} == "${PWD##*/}" ]]; then own_train_sets+=("${entry#*/}") folder=data/${entry#*/}; fi
        [[ ${speed_perturb} == false ]] || folder+=_sp
        joined_dirs+=("${folder}")
        joined_names+=("$(joined_name "${entry}" "${entries[@]}")")
        train_set+=${train_set:++}${entry//\//_}
        if ((${#factors[@]})); then
            [[ ${factors[index]} =~ ^([0-9]+\.?[0-9]*|\.[0-9]+)$ && ${factors[index]} =~ [1-9] ]] ||
                fail "--train_weights: '${factors[index]}' is not a number above 0"
            weights+="${weights:+ }${joined_names[-1]}=${factors[index]}"
        fi
    done
    if ((${#train_set} > 100)); then train_set=${train_set:0:80}+$(cksum <<< "${train_set}" | cut -d ' ' -f 1); fi
    [[ ${speed_perturb} == false ]] || train_set+=_sp
}

# joined_name ENTRY ENTRY...: the corpus of the first, with its set where another entry is of the same corpus.
joined_name() {
    local entry=$1 other count=0 name=${1%/*}
    shift
    for other in "$@"; do [[ ${other%/*} != "${entry%/*}" ]] || count=$((count + 1)); done
    ((count == 1)) || name=${entry/\//_}
    echo "${name//-/_}"
}

# Before anything is made: whether the sets of other recipes are there, in the speeds that this run trains on.
check_joining() {
    local folder
    for folder in "${joined_dirs[@]}"; do
        [[ ${folder} == ../* ]] || continue
        [[ -d ${folder%/data/*} ]] || fail "--train_sets: there is no recipe ${folder%/data/*}"
        follow_move "${folder%/*}"
        [[ ! -e ${folder}/feats.scp ]] || continue
        if [[ ${folder} == *_sp && -e ${folder%_sp}/feats.scp ]]; then
            fail "--train_sets: ${folder%_sp} was prepared with --speed_perturb false; give the same here, or true there"
        elif [[ ${folder} != *_sp && -e ${folder}_sp/feats.scp ]]; then
            fail "--train_sets: ${folder} was prepared with --speed_perturb true; give the same here, or false there"
        elif [[ ! -d ${folder%_sp} ]]; then
            fail "--train_sets: there is no ${folder%_sp}; stages 0 to 2 of that recipe make it (there are: $(cd "${folder%/*}" 2> /dev/null && echo *))"
        fi
        fail "--train_sets: ${folder} has no features; run stages 0 to 2 of that recipe first"
    done
}

join_train_sets() {
    local dir=data/${train_set} marker=data/.done/join_${train_set} description index from table made=() arguments=()
    for index in "${!joined_dirs[@]}"; do
        from=${joined_dirs[index]}
        for table in feats.scp utt2num_frames text utt2spk spk2utt fbank.conf; do
            [[ ${dry_run} == true || -s ${from}/${table} ]] ||
                fail "stage 2: ${from}/${table} is missing; prepare that set with stages 0 to 2 of its own recipe first"
            made+=("@${from}/${table}")
        done
        made+=("@${from%/*}/.done/fbank_${from##*/}")
        arguments+=("${joined_names[index]}=${from}")
    done
    description=$(describe "${arguments[@]}" "${made[@]}")
    if complete "${marker}" "${description}" "${dir}"/{feats.scp,utt2num_frames,text,corpora}; then
        log "stage 2: ${dir} is joined from ${train_sets}, nothing to do"
        return 0
    fi
    keep_foreign "${marker}" "${dir}"
    begin_step "${marker}"
    change rm -rf data/.new_joined
    run python -m omni_asr.bin.join data/.new_joined "${arguments[@]}"
    put_in_place data/.new_joined "${dir}"
    finish_step "${marker}" "${description}"
}
