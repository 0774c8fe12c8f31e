#!/usr/bin/env bash
# Stage 5: local/score.sh <data-dir> <lang-dir-or-> <decode-dir> [options]
#
# By the words of Kaldi and ESPnet, of which models that write no hyphens make two now and then.
exec "$(dirname "${BASH_SOURCE[0]}")/../../TEMPLATE/local/score.sh" "${@:1:3}" --join-hyphens "${@:4}"
