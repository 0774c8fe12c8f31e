# shellcheck shell=bash
# Source this from a recipe's folder: makes `python` one that can run omni_asr, and this checkout the omni_asr it runs.
# The active environment is used where it has what omni_asr needs, and the modules that the recipe names in
# PYTHON_MODULES; otherwise tools/venv, made on first use. With dry_run=true nothing is made.

_root=$(cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/../.." && pwd)

_python_suits() {
    "$1" - ${PYTHON_MODULES-} 2> /dev/null << 'PYTHON'
import importlib.metadata, importlib.util, sys
needed = "torch torchaudio numpy kaldiio soundfile sentencepiece yaml jiwer tqdm matplotlib".split() + sys.argv[1:]
modules = all(map(importlib.util.find_spec, needed))
torch = modules and [int(part) for part in importlib.metadata.version("torch").split(".")[:2]]
sys.exit(not (sys.version_info >= (3, 10) and modules and torch >= [2, 11]))
PYTHON
}

if ! _python_suits python; then
    if [[ ${dry_run-false} == false ]] && ! _python_suits "${_root}/tools/venv/bin/python"; then
        echo "${0##*/}: the active Python lacks modules that this recipe needs, or they are too old; running tools/install.sh (once)" >&2
        if ! "${_root}/tools/install.sh" >&2; then
            echo "${0##*/}: error: tools/install.sh failed, see above; mend it and start again" >&2
            exit 1
        fi
    fi
    PATH=${_root}/tools/venv/bin:${PATH}
fi
[[ ! -d ${_root}/tools/sph2pipe ]] || PATH+=:${_root}/tools/sph2pipe/bin  # of tools/install_sph2pipe.sh

export PATH
export PYTHONPATH=${_root}${PYTHONPATH:+:${PYTHONPATH}}
export PYTHONUTF8=1      # files are UTF-8 under every locale
export LC_ALL=C          # `sort` sorts by bytes, as Kaldi's tables are
# One thread per process, since jobs run side by side; the launcher's --num_threads gives a job more.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
unset _root
unset -f _python_suits
