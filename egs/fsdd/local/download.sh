#!/usr/bin/env bash
# Stage 0: local/download.sh [--corpus_dir corpus]
# Clones the Free Spoken Digit Dataset (CC BY-SA 4.0, about 30 MB) unless a copy is at --corpus_dir.
set -euo pipefail
url=https://github.com/Jakobovski/free-spoken-digit-dataset
corpus_dir=corpus  # Where the copy of the repository is, or goes
# shellcheck source=../../TEMPLATE/utils/parse_options.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../TEMPLATE/utils/parse_options.sh"

if [[ -d ${corpus_dir}/recordings ]]; then
    echo "${corpus_dir} is there, nothing to fetch"
    exit 0
fi
if [[ -e ${corpus_dir} ]]; then
    echo "download.sh: error: ${corpus_dir} has no folder recordings; name a copy of ${url} with --corpus_dir" >&2
    exit 1
fi
mkdir -p "$(dirname "${corpus_dir}")"
new=$(mktemp -d "${corpus_dir%/}.new.XXXXXX")  # another run may fetch it to the same place
trap 'rm -rf "${new}"' EXIT
if ! said=$(GIT_TERMINAL_PROMPT=0 git clone --quiet --depth 1 "${url}" "${new}/clone" 2>&1); then
    echo "download.sh: error: cannot clone ${url} (${said##*$'\n'}); copy it here by hand and name it with --corpus_dir" >&2
    exit 1
fi
if [[ ! -d ${new}/clone/recordings ]]; then
    echo "download.sh: error: what ${url} sent has no folder recordings; name an older copy with --corpus_dir" >&2
    exit 1
fi
mv -T "${new}/clone" "${corpus_dir}"
echo "${corpus_dir}: cloned ${url}"
