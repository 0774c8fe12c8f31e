# shellcheck shell=bash disable=SC2154
# Data directories: putting those that stage 1 has made in place, and their counts beside the official ones.
# Uses the recipe's options.

# put_set NAME: data/.new/NAME becomes data/NAME. What is the same stays, with its features; what others made is kept.
put_set() {
    local name=$1 new=data/.new/$1 old=data/$1 list=data/.done/tables_$1 table tables
    if [[ ${dry_run} == true ]]; then
        put_in_place "${new}" "${old}"
        return 0
    fi
    tables=$(cd "${new}" && find . -type f | sort)
    if [[ -e ${old} && -e ${list} && $(< "${list}") == "${tables}" ]] && same_files "${new}" "${old}" "${tables}"; then
        log "stage 1: ${old} is as it was"
        return 0
    fi
    begin_step "data/.done/data_${name}"
    keep_foreign "${list}" "${old}"
    if [[ -e ${old} ]]; then
        for table in "${old}"/{utt,spk}2*; do
            [[ -f ${table} && ${table} != */utt2num_frames && ! -e ${new}/${table##*/} ]] || continue
            grep -qxF "./${table##*/}" "${list}" && continue
            log "stage 1: ${table} is not of this recipe; it stays"
            cp -p "${table}" "${new}/${table##*/}"
        done
    fi
    mkdir -p data/.done
    echo "${tables}" > "${list}"  # first: without it, what is put in place would be taken for somebody else's
    put_in_place "${new}" "${old}"
}

# check_sets NAME...: validates data/NAME. Features that the recipe has not made are none of its inputs.
check_sets() {
    local name own=() foreign=()
    for name in "$@"; do
        make_spk2utt "data/${name}"
        if [[ -e data/.done/fbank_${name} ]]; then own+=("data/${name}"); else foreign+=("data/${name}"); fi
    done
    ((${#foreign[@]} == 0)) || run python -m omni_asr.bin.validate --no-feats "${foreign[@]}"
    ((${#own[@]} == 0)) || run python -m omni_asr.bin.validate "${own[@]}"
}

make_spk2utt() {  # in a data directory that lacks it
    [[ ${dry_run} == false && ! -e $1/spk2utt && -e $1/utt2spk ]] || return 0
    log "stage ${stage_now}: making $1/spk2utt, which was not there"
    awk '{utts[$2] = utts[$2] " " $1} END {for (spk in utts) print spk utts[spk]}' "$1/utt2spk" | sort > "$1/.spk2utt"
    mv "$1/.spk2utt" "$1/spk2utt"
}

files_of_jobs() {  # files_of_jobs PREFIX JOBS: what every job has written; a table is empty where none of its utterances has features
    local job
    for ((job = 1; job <= $2; ++job)); do
        echo "$1.${job}.conf"
        [[ -e $1.${job}.scp && ! -s $1.${job}.scp ]] || echo "$1.${job}.scp"
    done
}

same_files() {  # same_files FOLDER FOLDER NAMES
    local name
    while IFS= read -r name; do cmp -s "$1/${name}" "$2/${name}" || return 1; done <<< "$3"
}

print_counts() {  # beside those of conf/official_counts, lines of <set> <utterances> [<words> <their table> [<hours>]]
    local name utterances words hours table found=() left_out said
    log "$(printf '%-20s %10s %10s %10s %8s %10s  %s' set utterances speakers recordings hours words official)"
    for name in "$@"; do
        read -r utterances words table hours <<< "$(official_counts_of "${name}")"
        utterances=${utterances#-} words=${words#-}
        [[ ${table} != scored ]] || words=  # stage 5 looks at them
        [[ -n ${words} && -n ${table} ]] || table=text
        table=data/${name}/${table}
        found=("$(wc -l < "data/${name}/utt2spk")" "$(words_of "${table}")" "$(hours_of "data/${name}")")
        left_out=  # of training, which no protocol prescribes: what is listed is accounted for
        if [[ ${name} == "${train_set}" && -e data/${name}/removed_in_preparation ]]; then
            left_out=$(wc -l < "data/${name}/removed_in_preparation")
        fi
        said=${utterances:+, ${utterances} utterances}${words:+, ${words} words}${hours:+, ${hours} h}
        said=${said#, }${left_out:+ (${left_out} left out)}
        log "$(printf '%-20s %10d %10d %10d %8s %10d  %s' "${name}" "${found[0]}" \
            "$(speakers_of "data/${name}/utt2spk")" "$(wc -l < "data/${name}/wav.scp")" "${found[2]}" "${found[1]}" \
            "${said# }")"
        if ((${utterances:-0} && utterances != found[0] && utterances != found[0] + left_out)) ||
            [[ ${words:-${found[1]}} != "${found[1]}" ]]; then
            said="${found[0]} utterances${words:+ and ${found[1]} words}"
            log "WARNING: ${name} has ${said}, not the official ${utterances:-${found[0]}}${words:+ and ${words}}"
        fi
        if [[ -n ${hours} ]] && awk -v a="${found[2]}" -v b="${hours}" 'BEGIN {exit !(a < 0.98 * b || a > 1.02 * b)}'; then
            log "WARNING: ${name} has ${found[2]} hours, not the official ${hours}"
        fi
    done
}

check_scored_words() {  # of a set scored by an stm, whose words nobody counts before
    local words table scored
    read -r _ words table _ <<< "$(official_counts_of "$1")"
    [[ ${table} == scored && ${dry_run} == false ]] || return 0
    scored=$(sed -n '1s/.* \/ \([0-9]*\),.*/\1/p' "${exp_dir}/decode_$1/wer")
    awk -v a="${scored}" -v b="${words}" 'BEGIN {exit !(a < 0.995 * b || a > 1.005 * b)}' || return 0  # alternations vary
    log "WARNING: $1: ${scored} words were scored, not the official ${words}"
}

official_counts_of() {  # of a set; of its release, where the corpus has several and data/NAME/release names it
    [[ -e conf/official_counts ]] || return 0
    awk -v set="$1" -v release="$(cat "data/$1/release" 2> /dev/null)" \
        '{sub(/#.*/, "")} $1 == set || $1 == set "@" release {print $2, $3, $4, $5; exit}' conf/official_counts
}

speakers_of() { awk '$2 != last {++speakers; last = $2} END {print speakers + 0}' "$1"; }  # it is sorted by them

hours_of() {  # of speech, where segments or utt2dur tell
    if [[ -e $1/segments ]]; then
        awk '$4 > $3 {seconds += $4 - $3} END {printf "%.2f\n", seconds / 3600}' "$1/segments"
    elif [[ -e $1/utt2dur ]]; then
        awk '{seconds += $2} END {printf "%.2f\n", seconds / 3600}' "$1/utt2dur"
    else
        echo -
    fi
}

words_of() { awk '{words += NF - 1} END {print words + 0}' "$1"; }
