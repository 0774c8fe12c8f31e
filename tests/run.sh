#!/usr/bin/env bash
# Every test: sets up on first use, lints, runs pytest, and runs the mini recipe at a tiny size with all three routers.
#
# usage: tests/run.sh [PART...]
#
# PART is lint, pytest or recipe; default: all of them, each even if one before it failed. The Python that is active is
# used where the package and the test tools import, and tools/venv otherwise.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD

fail() {
    echo "tests/run.sh: error: $*" >&2
    exit 1
}

has_test_tools() {
    "$1" -c 'import omni_asr, torch, kaldiio, pytest, xdist, hypothesis, ruff, mypy, matplotlib, espeakng_loader' 2> /dev/null
}

set_up() {
    export PYTHONPATH=${root}${PYTHONPATH:+:${PYTHONPATH}}
    if ! has_test_tools python; then
        tools/install.sh || fail "tools/install.sh failed, see above"
        PATH=${root}/tools/venv/bin:${PATH}
        has_test_tools python || fail "the test tools do not import in tools/venv; remove it and start again"
    fi
    python tools/fix_torchaudio.py
}

lint() {
    local status=0
    python -m ruff check . || status=1
    python -m ruff format --check --quiet . || status=1
    python -m mypy || status=1
    if command -v shellcheck > /dev/null; then
        # SC2154: options of a recipe are set by the file that sources the one that uses them.
        shell_scripts | xargs shellcheck -x -P SCRIPTDIR --severity=warning --exclude=SC2154 || status=1
    else
        echo "shellcheck is not installed: shell scripts are not linted"
    fi
    return "${status}"
}

shell_scripts() {
    echo .ci/run
    find egs tests tools \( -name venv -o -name data -o -name exp -o -name corpus \) -prune -o -name '*.sh' -print
}

# Files of tests side by side, each process with one thread. What hangs all the same ends, with status 124; long before,
# pytest has shown where it stands (faulthandler_timeout).
run_pytest() {
    local limit=()
    ! command -v timeout > /dev/null || limit=(timeout --foreground -s INT -k 60 90m)
    OMP_NUM_THREADS=1 "${limit[@]}" python -m pytest tests -n auto --maxprocesses=4 --dist=loadfile
}

recipe() {
    tests/tiny_recipe.sh
}

parts=("$@")
[ $# -gt 0 ] || parts=(lint pytest recipe)
for part in "${parts[@]}"; do
    case ${part} in
        lint | pytest | recipe) ;;
        -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p;}' "${BASH_SOURCE[0]}" && exit ;;
        *) fail "unknown part ${part}; the parts are lint, pytest and recipe" ;;
    esac
done

SECONDS=0
set_up
times="set-up ${SECONDS} s"
failed=
for part in "${parts[@]}"; do
    echo "== ${part}"
    started=${SECONDS}
    case ${part} in
        pytest) command=run_pytest ;;
        *) command=${part} ;;
    esac
    if ! "${command}"; then
        echo "== ${part} FAILED" >&2
        failed="${failed} ${part}"
    fi
    times="${times}, ${part} $((SECONDS - started)) s"
done

if [ -n "${failed}" ]; then
    echo "tests/run.sh: FAILED:${failed} (${times})" >&2
    exit 1
fi
echo "tests/run.sh: everything passed (${times})"
