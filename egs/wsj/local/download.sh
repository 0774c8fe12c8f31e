#!/usr/bin/env bash
# Stage 0: local/download.sh --corpus_dir DIR ... (--help lists the options)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../../TEMPLATE/path.sh
source "${here}/../../TEMPLATE/path.sh"
exec python "${here}/download.py" "$@"
