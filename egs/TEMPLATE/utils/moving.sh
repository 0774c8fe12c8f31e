# shellcheck shell=bash disable=SC2154
# Checkouts that were moved: tables name archives and audio by absolute paths, so that every program finds them from
# everywhere. data/.done/place has the folders of the recipe and of its checkout when the tables were written.

checkout_of_template() { (cd -P "${template}/../.." && pwd); }  # -P: the template may be a link

# relative_paths: a filter that takes the folders of the recipe and of its checkout off the paths in a text, so that its
# checksum stays the same when they are moved, or are reached by a second path.
relative_paths() {
    local places=("$(pwd -P)" "$(checkout_of_template)") names=("" "<checkout>/") index script=""
    [[ ! -e data/.done/place ]] || mapfile -t -O 2 places < data/.done/place
    for index in "${!places[@]}"; do
        script+="s#(^|[[:space:]'\"=])$(sed 's/[][\\.*^$(){}+?|#]/\\&/g' <<< "${places[index]}")/#\1${names[index % 2]}#g;"
    done
    sed -E "${script}"
}

# path_in FILE: prints the path of a model that was written to FILE through relative_paths.
path_in() {
    local path
    path=$(< "$1")
    realpath -m "${path/#'<checkout>'/$(checkout_of_template)}"
}

# Notes where the recipe is, for tables that are written from now on.
note_place() { [[ -e data/.done/place ]] || finish_step data/.done/place "$(pwd -P)"$'\n'"$(checkout_of_template)"; }

# follow_move DATA: rewrites the tables of a recipe, which may be another one, whose folder has moved since they were
# written. Nothing has moved where the old path leads to the same folder, as one of several mounts does.
follow_move() (
    data=$1 recipe=${1%data} place=$1/.done/place tables=()
    [[ ${dry_run} == false && -e ${place} ]] || return 0
    mapfile -t before < "${place}"
    now=("$(cd "./${recipe}" && pwd -P)" "$(checkout_of_template)")
    [[ ${before[0]} != "${now[0]}" && ! ${before[0]} -ef ${now[0]} ]] || return 0
    lock "${data}/.lock"
    own_data "${data}"
    for path in "${data}"/*/*.scp "${recipe}"fbank/*.scp; do
        [[ ! -f ${path} ]] || tables+=("${path}")
    done
    log "${now[0]} was ${before[0]} when its tables were written"
    moved=(--moved "${before[0]}=${now[0]}")
    [[ ${before[1]-${now[1]}} == "${now[1]}" ]] || moved+=(--moved "${before[1]}=${now[1]}")
    ((${#tables[@]} == 0)) || python -m omni_asr.bin.move_paths "${moved[@]}" "${tables[@]}"
    finish_step "${place}" "${now[0]}"$'\n'"${now[1]}"
)
