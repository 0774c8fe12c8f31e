#!/usr/bin/env bash
# Stage 1: local/data.sh --corpus_dir DIR --data_dir DIR ... (--help lists the options)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../../TEMPLATE/path.sh
source "${here}/../../TEMPLATE/path.sh"
exec python "${here}/prepare.py" "$@"
