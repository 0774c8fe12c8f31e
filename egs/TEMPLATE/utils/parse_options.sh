# shellcheck shell=bash
# Reads the command line of the script that sources this file:
#
#   nj=4              # Number of parallel jobs
#   dry_run=false     # Print the commands, run nothing
#   corpus_dir=()     # Where the corpus is (an array: the option may be repeated)
#   source ../TEMPLATE/utils/parse_options.sh
#
# The variables assigned at the start of a line above the `source` line are the options, here --nj, --dry_run and
# --corpus_dir; so are those of the scripts that source the script. `-` and `_` are the same in a name, --nj 8 and
# --nj=8 mean the same, a variable that is true or false stays so, and --help lists every option with its default
# and the comment beside its variable (or above it). Values are assigned, never evaluated. What follows the options
# is left in "$@". Names that begin with _ or a capital, or end in _opts, are no options.

if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] < 404)); then
    echo "${0##*/}: error: bash 4.4 or newer is needed, this is ${BASH_VERSION}" >&2
    exit 1
fi

_po_files=()             # scripts that declare options, the innermost first
declare -A _po_declared  # file -> names of its options, in order
declare -A _po_comment   # name -> comment
_po_beside='^("[^"]*"|'\''[^'\'']*'\''|\([^)]*\)|[^[:space:]"'\''()])*[[:space:]]+#[[:space:]]*(.*)$'

_po_fail() {
    echo "${0##*/}: error: $* (--help lists the options)" >&2
    exit 2
}

# Notes the options that FILE declares above LINE, and their comments. The outermost script's comment wins.
_po_read_declarations() {
    local file=$1 last=$2 path=$1 number=0 above="" line name
    [[ -r ${path} ]] || path=${OLDPWD:-.}/${file}  # the script has changed to its own folder since it was called
    [[ -r ${path} ]] || return 0
    _po_files+=("${file}")
    _po_declared[${file}]=""
    while IFS= read -r line && ((++number < last)); do
        if [[ ${line} =~ ^([a-z][a-z0-9_]*)=(.*)$ && ${BASH_REMATCH[1]} != *_opts ]]; then
            name=${BASH_REMATCH[1]}
            _po_declared[${file}]+=" ${name}"
            [[ ${BASH_REMATCH[2]} =~ ${_po_beside} ]] && above=${BASH_REMATCH[2]}
            [[ -z ${above} ]] || _po_comment[${name}]=${above}
            above=""
        elif [[ ${line} =~ ^'#'[[:space:]]*(.*)$ && ${BASH_REMATCH[1]} != shellcheck* ]]; then
            above+="${above:+ }${BASH_REMATCH[1]}"
        else
            above=""
        fi
    done < "${path}"
}

_po_is_option() {
    local file
    [[ $1 =~ ^[a-z][a-z0-9_]*$ ]] || return 1
    for file in "${_po_files[@]}"; do
        [[ " ${_po_declared[${file}]} " != *" $1 "* ]] || return 0
    done
    return 1
}

_po_is_array() { [[ $(declare -p "$1" 2> /dev/null) == "declare -a"* ]]; }

# Prints how many letters must be inserted, deleted or replaced to turn the first word into the second.
_po_distance() {
    local a=$1 b=$2 i j diagonal best
    local -a row
    for ((j = 0; j <= ${#b}; j++)); do row[j]=$j; done
    for ((i = 1; i <= ${#a}; i++)); do
        diagonal=${row[0]} row[0]=$i
        for ((j = 1; j <= ${#b}; j++)); do
            best=${diagonal}
            [[ ${a:i-1:1} == "${b:j-1:1}" ]] || best=$((best + 1))
            ((row[j] + 1 >= best)) || best=$((row[j] + 1))
            ((row[j - 1] + 1 >= best)) || best=$((row[j - 1] + 1))
            diagonal=${row[j]} row[j]=${best}
        done
    done
    echo "${row[${#b}]}"
}

_po_nearest() {
    local nearest="" least=1000 distance name file
    for file in "${_po_files[@]}"; do
        for name in ${_po_declared[${file}]}; do
            distance=$(_po_distance "$1" "${name}")
            ((distance >= least)) || { nearest=${name} least=${distance}; }
        done
    done
    echo "${nearest}"
}

# Sets the option NAME to VALUE; an array loses its defaults at the first use and grows afterwards.
_po_assign() {
    local -n _po_variable=$1  # every name in scope here starts with _po_, so that no option is hidden
    if _po_is_array "$1"; then
        [[ " ${_po_given} " == *" $1 "* ]] || _po_variable=()
        _po_variable+=("$2")
        _po_given+=" $1"
    elif [[ ${_po_variable-} == true || ${_po_variable-} == false ]] && [[ $2 != true && $2 != false ]]; then
        _po_fail "--$1 must be true or false, not '$2'"
    else
        printf -v "$1" '%s' "$2"
    fi
}

_po_print_option() {
    local -n _po_default=$1
    local _po_value=${_po_default-} _po_repeatable=""
    if _po_is_array "$1"; then
        _po_value=${_po_default[*]-}
        _po_repeatable="may be repeated; "
    fi
    printf '  --%-17s %s (%sdefault: %s)\n' \
        "$1" "${_po_comment[$1]-}" "${_po_repeatable}" "${_po_value:-none}"
}

# Prints the comment at the head of the outermost script, then every option.
_po_help() {
    local _po_script=${_po_files[-1]} _po_line _po_file _po_name _po_seen=" "
    [[ -r ${_po_script} ]] || _po_script=${OLDPWD:-.}/${_po_script}
    echo "usage: $0 [--option value ...]"
    while IFS= read -r _po_line && [[ ${_po_line} == '#'* ]]; do
        _po_line=${_po_line#'#'}
        [[ ${_po_line} == '!'* || ${_po_line} == ' shellcheck '* ]] || echo "${_po_line# }"
    done < "${_po_script}"
    for ((_po_index = ${#_po_files[@]} - 1; _po_index >= 0; _po_index--)); do
        _po_file=${_po_files[_po_index]}
        printf '\noptions of %s:\n' "${_po_file##*/}"
        for _po_name in ${_po_declared[${_po_file}]}; do
            [[ ${_po_seen} == *" ${_po_name} "* ]] || _po_print_option "${_po_name}"
            _po_seen+="${_po_name} "
        done
    done
}

for ((_po_index = 1; _po_index < ${#BASH_SOURCE[@]}; _po_index++)); do
    _po_read_declarations "${BASH_SOURCE[_po_index]}" "${BASH_LINENO[_po_index - 1]}"
done
for _po_argument in "$@"; do  # before any option is set, so that the defaults are shown
    [[ ${_po_argument} != -- ]] || break
    if [[ ${_po_argument} == --help || ${1} == -h ]]; then
        _po_help
        exit 0
    fi
done

_po_given=""
while [[ ${1-} == --* ]]; do
    if [[ $1 == -- ]]; then
        shift
        break
    fi
    _po_name=${1%%=*}
    _po_name=${_po_name#--}
    _po_name=${_po_name//-/_}
    _po_is_option "${_po_name}" || _po_fail "unknown option ${1%%=*}; did you mean --$(_po_nearest "${_po_name}")?"
    if [[ $1 == *=* ]]; then
        _po_assign "${_po_name}" "${1#*=}"
        shift
    elif (($# == 1)); then
        _po_fail "--${_po_name} needs a value"
    elif [[ $2 == --* ]]; then
        _po_fail "--${_po_name} needs a value; if it is '$2', write --${_po_name}=$2"
    else
        _po_assign "${_po_name}" "$2"
        shift 2
    fi
done
unset _po_argument _po_index _po_name
