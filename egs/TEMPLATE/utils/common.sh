# shellcheck shell=bash disable=SC2154
# What the stages of recipe.sh are written with: log lines, running programs, knowing what is complete.
# Uses the recipe's options dry_run and force, what it decodes with, and stage_now, the number of the running stage.

# A line with time and place: the script that was started, and the line that it has reached.
log() { printf '%(%Y-%m-%dT%H:%M:%S)T (%s:%s) %s\n' -1 "${BASH_SOURCE[-1]##*/}" "${BASH_LINENO[-2]}" "$*"; }

fail() {
    echo "${0##*/}: error: $*" >&2
    explained=true
    exit 1
}

# need STAGE FILE...: fails unless every file is there; STAGE is the one that makes them.
need() {
    local maker=$1 file advice
    shift
    [[ ${dry_run} == false ]] || return 0
    advice="stage ${maker} makes it (--stage ${maker})"
    if [[ ${maker} == 1 && ! -e local/data.sh ]]; then advice="put it there, or name another set"; fi
    for file in "$@"; do
        [[ -s ${file} ]] || fail "stage ${stage_now}: ${file} is missing; ${advice}"
    done
}

quoted() {
    local text
    printf -v text ' %q' "$@"
    echo "${text# }"
}

# --- running programs ---------------------------------------------------------------------------------------------

# run COMMAND...: prints it in a dry run; otherwise runs it as a process group of its own, so that a signal to this
# script can end it with all its children.
run() {
    local status=0
    if [[ ${dry_run} == true ]]; then
        quoted "$@"
        return 0
    fi
    set -m
    "$@" < /dev/null &
    set +m
    wait "$!" || status=$?
    return "${status}"
}

count_gpus() {  # 1 if there is a GPU that PyTorch can use
    if [[ $(nvidia-smi -L 2> /dev/null) == GPU* ]] &&
        { [[ ${dry_run} == true ]] || python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; }; then
        echo 1
    else
        echo 0
    fi
}

# Files are moved and removed through this, so that a dry run leaves them alone.
change() { [[ ${dry_run} == true ]] || "$@"; }

# Ends the running program, with time to save its state; a second signal ends it at once.
on_signal() {
    local group deadline=$((SECONDS + 30))
    trap 'deadline=0' INT TERM HUP
    for group in $(jobs -p); do
        kill -TERM -- "-${group}" 2> /dev/null || true
        while kill -0 -- "-${group}" 2> /dev/null && ((SECONDS < deadline)); do sleep 0.05; done
        kill -KILL -- "-${group}" 2> /dev/null || true
    done
    trap '' INT TERM HUP
    local where="in stage ${stage_now}"
    [[ ${stage_now} != none ]] || where="before the first stage"
    echo "${0##*/}: interrupted ${where}; run it again to go on" >&2
    explained=true
    exit $((128 + $1))
}

on_exit() {
    local status=$?
    if ((status != 0)) && [[ ${explained} == false && ${stage_now} != none ]]; then
        echo "${0##*/}: error: stage ${stage_now} failed (exit code ${status}), see above" >&2
    fi
}

explained=false
stage_now=none
trap on_exit EXIT
trap 'on_signal 2' INT
trap 'on_signal 15' TERM
trap 'on_signal 1' HUP

# try_lock DESCRIPTOR exclusive|shared: takes a lock without waiting. Python does it, since `flock` is not on every machine.
try_lock() {
    python -c '
import fcntl, sys
kind = {"exclusive": fcntl.LOCK_EX, "shared": fcntl.LOCK_SH}[sys.argv[2]]
try:
    fcntl.flock(int(sys.argv[1]), kind | fcntl.LOCK_NB)
except BlockingIOError:
    sys.exit(1)
except OSError:  # a file system without locks
    pass
' "$@"
}

# lock FILE: fails when another run.sh holds it. The lock lives as long as this script or a program that it started.
lock() {
    local holder="another run.sh"
    [[ ${dry_run} == false && ${locked-} != "$1" ]] || return 0
    unlock
    mkdir -p "${1%/*}"
    exec {lock_descriptor}>> "$1"
    if ! try_lock "${lock_descriptor}" exclusive; then
        [[ ! -s $1 ]] || holder=$(< "$1")
        fail "${holder}, or a program of it, is at work in ${1%/*}; wait until it ends"
    fi
    echo "run.sh (process $$ on ${HOSTNAME})" > "$1"
    locked=$1
}

unlock() {
    [[ -z ${lock_descriptor-} ]] || exec {lock_descriptor}>&-
    lock_descriptor="" locked=""
}

# own_data [DATA]: fails while a training or decoding reads data/; from now on none may start.
# shellcheck disable=SC2120  # follow_move gives it another recipe's
own_data() {
    local data=${1:-data} at=""
    [[ -z ${data_descriptor-} && ${dry_run} == false ]] || return 0
    exec {data_descriptor}>> "${data}/.in_use"
    [[ ${stage_now} == none ]] || at="stage ${stage_now}: "
    try_lock "${data_descriptor}" exclusive ||
        fail "${at}${data}/ would change, but a training or decoding reads it; wait until that ends"
}

# use_data: nothing in data/ may change while this script, or a program that it starts, runs.
use_data() {
    [[ ${dry_run} == false && -d data ]] || return 0
    [[ -z ${data_descriptor-} ]] || exec {data_descriptor}>&-
    exec {data_descriptor}>> data/.in_use
    try_lock "${data_descriptor}" shared || fail "another run.sh is changing data/; wait until it ends"
}

# --- what is complete ---------------------------------------------------------------------------------------------
# A step has a marker: while it runs, that says so; once it is finished, it is a description of what the step was made
# from, options and checksums of files. A path without the marker of its step was not made by this recipe.
unfinished="not finished"

# describe ITEM...: a line for each: @FILE by its checksum, anything else as it is. The checkout may move meanwhile.
describe() {
    local item
    for item in "$@"; do
        if [[ ${item} != @* ]]; then
            echo "${item}"
        elif [[ ${item} == *.scp && -e ${item#@} ]]; then
            echo "$(relative_paths < "${item#@}" | cksum) ${item#@}"
        elif [[ -e ${item#@} ]]; then
            cksum "${item#@}"
        else
            echo "no ${item#@}"
        fi
    done | relative_paths
}

# Name, size and time of the weights that this run decodes with, which tell one model from another.
age_of_model() {
    local file=${decoding_model}
    [[ ! -d ${file} ]] || file=${file}/model.pt
    [[ ${checkpoint} == average ]] || file=${model}/checkpoints
    if [[ -e ${file} ]]; then stat -c '%n %s %y' "${file}"; else echo none; fi
}

# complete MARKER DESCRIPTION OUTPUT...: whether the step was finished from the same, and its outputs can be read.
complete() {
    local marker=$1 description=$2 output changed status=0 options=()
    shift 2
    [[ ${dry_run} == false && ${force} == false && -f ${marker} ]] || return 1
    for output in "$@"; do
        [[ -s ${output} ]] || return 1
    done
    [[ $(< "${marker}") != "${unfinished}" ]] || return 1
    if [[ $(< "${marker}") != "${description}" ]]; then
        changed=$(diff "${marker}" - <<< "${description}" | sed -n '/^>/{s/^> \([0-9]* [0-9]* \)\{0,1\}//p;q;}')
        [[ ${changed} == "${changed_before-}" ]] || log "stage ${stage_now}: done again, because this changed: ${changed}"
        changed_before=${changed}
        return 1
    fi
    (($# > 0)) || return 0
    ((stage_now > 1)) || options=(--audio)  # of which later stages need nothing once they have features
    changed=$(python -m omni_asr.bin.check_outputs "${options[@]}" "$@" 2>&1) || status=$?
    changed=${changed##*$'\n'}
    case ${status} in
        0) return 0 ;;
        3) log "stage ${stage_now}: done again, because ${changed}" ;;
        *) fail "stage ${stage_now}: ${marker##*/}: its outputs cannot be checked (exit code ${status}${changed:+, ${changed}}); run this again" ;;
    esac
    return 1
}

# begin_step MARKER: what it stands for is about to change; where that is in data/, nothing may be reading it.
begin_step() {
    [[ $1 != data/* || ! -e $1 || ${stage_now} == 0 ]] || own_data
    finish_step "$1" "${unfinished}"
}

finish_step() {
    [[ ${dry_run} == false ]] || return 0
    mkdir -p "${1%/*}"
    echo "$2" > "$1.tmp.$$"
    mv "$1.tmp.$$" "$1"
}

# keep_foreign MARKER PATH...: a path that the step of the marker is about to replace, but did not make, is kept.
keep_foreign() {
    local marker=$1 path foreign=()
    shift
    [[ ! -e ${marker} && ${dry_run} == false ]] || return 0
    for path in "$@"; do
        [[ -e ${path} ]] || continue
        [[ ! -e ${path}.kept ]] || fail "stage ${stage_now}: ${path} and ${path}.kept are not of this recipe; move them away"
        foreign+=("${path}")
    done
    ((${#foreign[@]} == 0)) || own_data
    for path in "${foreign[@]}"; do
        log "stage ${stage_now}: ${path} is not of this recipe; it is kept as ${path}.kept"
        mv "${path}" "${path}.kept"
    done
}

# put_in_place NEW OLD: the folder NEW takes the place of OLD.
put_in_place() {
    local aside=${2%/*}/.old.${2##*/}
    if [[ ${dry_run} == true ]]; then
        quoted mv "$1" "$2"
        return 0
    fi
    rm -rf "${aside}"
    [[ ! -e $2 ]] || mv "$2" "${aside}"
    mv "$1" "$2"
    rm -rf "${aside}"
}

# --- options ------------------------------------------------------------------------------------------------------

# hand_on NAME...: sets the array `arguments` to --NAME=VALUE for each of the recipe's variables that is not empty.
hand_on() {
    local _name _word
    arguments=()
    for _name in "$@"; do
        declare -p "${_name}" &> /dev/null || fail "download_opts or data_opts names ${_name}, which is not set"
        local -n _values=${_name}
        for _word in "${_values[@]}"; do
            [[ -z ${_word} ]] || arguments+=("--${_name}=${_word}")
        done
        unset -n _values
    done
}

# found PATH: prints PATH as it is if the recipe's folder has it, or else as seen from where the user typed it.
found() {
    if [[ $1 == /* || -z $1 || -e $1 || ! -e ${called_from}/$1 ]]; then
        echo "$1"
    else
        realpath "${called_from}/$1"
    fi
}

# configured SECTION.KEY: prints an option of the configuration.
configured() {
    [[ ${dry_run} == false ]] || python -c 'import yaml' 2> /dev/null ||
        fail "--dry_run reads ${config} with Python and PyYAML, which is not installed; run tools/install.sh once"
    python -m omni_asr.bin.show_config --config "${config}" --get "$1"
}

# check_choice NAME CHOICE...: fails unless the variable holds one of the words.
check_choice() {
    local name=$1 choice
    shift
    for choice in "$@"; do
        [[ ${!name} != "${choice}" ]] || return 0
    done
    fail "--${name} must be one of $*, not '${!name}'"
}

# own FILE: prints the recipe's file of this name if it has one, or else the template's.
own() { if [[ -e $1 ]]; then echo "$1"; else echo "${template}/$1"; fi; }

# check_number NAME LEAST [MOST]
check_number() {
    local -n _number=$1
    local _range="of at least $2"
    [[ -z ${3-} ]] || _range="from $2 to $3"
    if ! [[ ${_number} =~ ^[0-9]{1,9}$ ]] || ((10#${_number} < $2 || 10#${_number} > ${3:-999999999})); then
        fail "--$1 must be a whole number ${_range}, not '${_number}'"
    fi
}
