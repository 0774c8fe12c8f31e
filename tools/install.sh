#!/usr/bin/env bash
# Make a virtual environment with the pinned dependencies and this package, and show what works there.
#
# usage: tools/install.sh [--venv DIR] [--python EXE] [--extras LIST]
#
#   --venv DIR      environment to make or complete, default tools/venv; an existing one keeps its torch 2.11 to 2.13
#   --python EXE    Python 3.10 or later that makes the environment, default python3
#   --extras LIST   optional dependencies of setup.py, default mini,report,normalize,dev; none for no extras
#
# Safe to call again: where nothing has changed it says so and ends. Needs no GPU and no root. Versions come from
# tools/constraints.txt. On Linux, torch from PyPI is the CUDA build; for the smaller CPU build, let pip see PyTorch's
# index of CPU wheels, e.g. through PIP_EXTRA_INDEX_URL.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/tools/venv
python=
extras=mini,report,normalize,dev

log() { echo "$(date '+%Y-%m-%dT%H:%M:%S') (install.sh) $*"; }
fail() {
    echo "tools/install.sh: error: $*" >&2
    exit 1
}

while [ $# -gt 0 ]; do
    case $1 in
        -h | --help)
            sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p;}' "${BASH_SOURCE[0]}"
            exit 0
            ;;
        --venv=* | --python=* | --extras=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
        --venv | --python | --extras)
            [ $# -ge 2 ] || fail "option $1 needs a value"
            case $1 in --venv) venv=$2 ;; --python) python=$2 ;; --extras) extras=$2 ;; esac
            shift 2
            ;;
        *) fail "unknown option $1; --help lists them" ;;
    esac
done

# install WHAT PIP-ARGUMENT...: pip's output goes to the log, a failure becomes one line.
install() {
    local what=$1 reason
    shift
    log "installing $what"
    "$py" -m pip install --disable-pip-version-check "$@" >"$logfile" 2>&1 && return
    reason=$(grep '^ERROR' "$logfile" | tail -n 1 | cut -c 1-200) || true
    if grep -q -e 'Retrying (' -e 'name resolution' -e 'Connection' "$logfile"; then
        reason="no network, or pip's index is out of reach"
    fi
    fail "could not install $what: ${reason:-pip failed}; pip's own words are in $logfile"
}

# Prints the installed version of a torch that works and that the package supports, nothing otherwise.
usable_torch() {
    "$py" - 2>/dev/null <<'EOF' || true
import torch

version = torch.__version__.split("+")[0]
if (2, 11) <= tuple(int(part) for part in version.split(".")[:2]) < (2, 14):
    print(version)
EOF
}

# Prints the pinned version of a package.
pinned() { sed -n "s/^$1==//p" "$root/tools/constraints.txt"; }

fingerprint() {
    cat "$root"/{setup.py,pyproject.toml,tools/constraints.txt,tools/install.sh} | cksum
    "$py" -c 'import sys; print(sys.version)'
    echo "$root $extras"
}

mkdir -p "$venv" || fail "cannot make the folder $venv; choose another with --venv"
venv=$(cd "$venv" && pwd)
py=$venv/bin/python
stamp=$venv/omni_asr.stamp
logfile=$venv/install.log
if command -v flock >/dev/null; then # two recipes may set up at the same time
    exec 9>"$venv/install.lock"
    flock 9
fi

if [ -n "$python" ] || [ ! -x "$py" ]; then
    python=${python:-python3}
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2] if sys.version_info >= (3, 10) else "")' \
        2>/dev/null) || fail "cannot run $python; name a Python 3.10 or later with --python"
    [ -n "$version" ] || fail "$python is too old; name a Python 3.10 or later with --python"
    if [ -x "$py" ]; then
        "$py" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$version')" \
            || fail "$venv was made with another Python than $version; remove it, or choose another with --venv"
    else
        log "making the environment $venv with Python $version"
        "$python" -m venv "$venv" >"$logfile" 2>&1 \
            || fail "$python cannot make an environment (on Debian: apt-get install python3-venv); see $logfile"
    fi
fi

if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(fingerprint)" ]; then
    "$py" "$root/tools/fix_torchaudio.py" >/dev/null || fail "python tools/fix_torchaudio.py failed in $venv"
    log "$venv is complete (tools/check_install.py shows what works)"
    exit 0
fi
rm -f "$stamp"
started=$SECONDS
"$py" -m pip --version >/dev/null 2>&1 || "$py" -m ensurepip >"$logfile" 2>&1 || fail "$venv has no pip"

# A torch that is there stays; the constraint then names its version.
constraints=$venv/omni_asr.constraints.txt
torch=$(usable_torch)
sed "s/^torch==.*/torch==${torch:-$(pinned torch)}/" "$root/tools/constraints.txt" >"$constraints"
install setuptools -c "$constraints" setuptools
# An exact version: a range would let pip take a newer build, on a CPU machine with gigabytes of CUDA.
[ -n "$torch" ] || install "torch $(pinned torch)" -c "$constraints" "torch==$(pinned torch)"
install "torchaudio $(pinned torchaudio)" --no-deps "torchaudio==$(pinned torchaudio)"
package=$root
[ "$extras" = none ] || package="${root}[$extras]"
install "omni_asr with extras $extras" --no-build-isolation -c "$constraints" -e "$package"
"$py" "$root/tools/fix_torchaudio.py" || fail "torchaudio could not be fitted to PyTorch"

"$py" "$root/tools/check_install.py" || fail "the environment $venv is not complete"
fingerprint >"$stamp"
log "Successfully finished. [elapsed=$((SECONDS - started))s] To work in it: . $venv/bin/activate"
