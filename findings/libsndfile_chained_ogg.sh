#!/usr/bin/env bash
# libsndfile reads only the first of chained Ogg streams (RFC 3533, section 4), without an error. Two streams of 1 s and
# 2 s in one file have 1 s. Fails where that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q soundfile==0.14.0 numpy
"$folder/venv/bin/python" - "$folder" <<'PY'
import sys
from pathlib import Path

import numpy as np
import soundfile

folder, rate = Path(sys.argv[1]), 16000
print("soundfile", soundfile.__version__, "libsndfile", soundfile.__libsndfile_version__)
data = b""
for seconds in (1, 2):
    noise = 0.1 * np.random.default_rng(seconds).standard_normal(seconds * rate)
    soundfile.write(folder / "part.ogg", noise, rate, format="OGG", subtype="VORBIS")
    data += (folder / "part.ogg").read_bytes()
(folder / "chained.ogg").write_bytes(data)
samples, _ = soundfile.read(folder / "chained.ogg")
print("a chain of 1 s and 2 s is read as", len(samples) / rate, "s")
sys.exit(len(samples) != rate)
PY
