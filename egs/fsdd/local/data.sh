#!/usr/bin/env bash
# Stage 1: local/data.sh [--corpus_dir corpus] [--data_dir data] ... (--help lists the options)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../../TEMPLATE/path.sh
source "${here}/../../TEMPLATE/path.sh"
exec python "${here}/prepare.py" "$@"
