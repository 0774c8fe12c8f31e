"""How the features of a data directory were made, and their normalisation.

Shapes: F features.
"""

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from omni_asr.audio.fbank_conf import read_fbank_conf
from omni_asr.config import FeaturesConfig
from omni_asr.data.dataset import UtteranceSet
from omni_asr.errors import UserError
from omni_asr.kaldi.ark import read_ark

LEAST_DEVIATION = 1e-4
"""A bin that hardly varies is scaled as if by this standard deviation."""


def features_of(utterances: UtteranceSet) -> FeaturesConfig:
    """Return the options in the directory's ``fbank.conf``; features of other tools get the defaults and their width.

    Raises:
        UserError: ``fbank.conf`` is malformed.
    """
    path = utterances.data_dir / "fbank.conf"
    if path.exists():
        return read_fbank_conf(path)
    return FeaturesConfig(num_mel_bins=utterances.load(0).shape[1])


def check_features(utterances: UtteranceSet, wanted: FeaturesConfig) -> None:
    """Refuse features whose options differ from the model's, or whose width does where the options are not known.

    Raises:
        UserError: naming the first option that differs.
    """
    found = features_of(utterances)
    for name, value in vars(wanted).items():
        if getattr(found, name) != value and ((utterances.data_dir / "fbank.conf").exists() or name == "num_mel_bins"):
            raise UserError(
                f"{utterances.data_dir}: features have {name} {getattr(found, name)}, but the model wants {value}; "
                f"extract them again with the model's options"
            )


def read_cmvn(path: str | os.PathLike[str]) -> tuple[Tensor, Tensor]:
    """Read global statistics as (mean, 1 / standard deviation), each (F,).

    The file is an archive with Kaldi's (2, F + 1) matrix: sums and the count, then sums of squares.

    Raises:
        UserError: the file is missing or holds something else.
    """
    if not Path(path).exists():
        raise UserError(f"{path} is missing; stage 2 makes it")
    _, stats = next(iter(read_ark(path)), ("", np.zeros(())))
    if stats.ndim != 2 or stats.shape[0] != 2 or stats[0, -1] <= 0:
        raise UserError(f"{path} does not hold global CMVN statistics; make them with omni-asr compute-cmvn")
    count = stats[0, -1]
    mean_F = stats[0, :-1] / count
    variance_F = np.maximum(stats[1, :-1] / count - mean_F**2, LEAST_DEVIATION**2)
    return torch.from_numpy(mean_F).float(), torch.from_numpy(variance_F**-0.5).float()
