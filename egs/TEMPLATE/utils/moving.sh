# shellcheck shell=bash disable=SC2154
# Recipes whose folder was moved: tables name archives and audio by absolute paths, so that every program finds them from
# everywhere.

# relative_paths: a filter that takes the recipe's folder, and that of all recipes, off the paths in a table, so that its
# checksum stays the same when they are moved.
relative_paths() {
    local here
    here=$(pwd -P | sed 's/[][\\.*^$|]/\\&/g')
    sed -e "s|${here}/||g" -e "s|${here%/*}/|../|g"
}

# follow_move RECIPE: rewrites the tables of a recipe's folder that has moved since they were written.
follow_move() {
    local place=$1/data/.done/place here before path tables=()
    [[ ${dry_run} == false && -d $1/data/.done ]] || return 0
    here=$(cd "$1" && pwd -P)
    before=$(cat "${place}" 2> /dev/null || echo "${here}")
    if [[ ${before} != "${here}" ]]; then
        for path in "$1"/{data/*,fbank}/*.scp "$1"/exp/*/evaluates; do [[ ! -f ${path} ]] || tables+=("${path}"); done
        log "${here} was ${before} when its tables were written"
        ((${#tables[@]} == 0)) || run python -m omni_asr.bin.move_paths \
            --moved "${before}=${here}" --moved "${before%/*}=${here%/*}" "${tables[@]}"
    fi
    [[ -e ${place} && ${before} == "${here}" ]] || finish_step "${place}" "${here}"
}
