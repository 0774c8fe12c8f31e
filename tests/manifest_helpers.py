"""Data directories with features for tests of manifests, plans and loading."""

from pathlib import Path

import numpy as np

from omni_asr.kaldi.ark import ArkWriter
from omni_asr.kaldi.tables import write_table

BINS = 5
UNITS = ["<blank>", "<unk>", "▁", "a", "b", "c"]


def write_features(folder: Path, arks: int = 3, each: int = 7, seed: int = 0, compression: int | None = 2) -> Path:
    """A directory whose utterances lie in several archives; ids go round the archives."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    scp, text, frames = {}, {}, {}
    for ark in range(arks):
        with ArkWriter(folder / f"{ark}.ark", None, compression) as write:
            for number in range(each):
                utt = f"u{number:03d}-{ark}"
                x_TF = random.normal(size=(int(random.integers(10, 60)), BINS)).astype(np.float32)
                write(utt, x_TF)
                frames[utt] = str(len(x_TF))
                text[utt] = " ".join("".join(random.choice(list("abc"), 3)) for _ in range(random.integers(1, 3)))
            scp |= write.entries
    for name, table in (("feats.scp", scp), ("text", text), ("utt2num_frames", frames)):
        write_table(folder / name, table)
    return folder
