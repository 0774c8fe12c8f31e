#!/usr/bin/env bash
# Stage 0: local/download.sh [--corpus_dir corpus] [--size default|tiny] ... (--help lists the options)
# There is nothing to download: the speech is synthesised here.
set -euo pipefail
# shellcheck disable=SC2034  # read by path.sh
PYTHON_MODULES=espeakng_loader
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../../TEMPLATE/path.sh
source "${here}/../../TEMPLATE/path.sh"
exec python "${here}/synthesise.py" "$@"
