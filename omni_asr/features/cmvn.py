"""Global mean and variance statistics of features, as Kaldi keeps them.

The file is an archive with one (2, F + 1) matrix of F features: sums and the number of frames, then sums of squares
and 0.
"""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from omni_asr.audio.fbank_conf import columns_of
from omni_asr.errors import UserError
from omni_asr.kaldi.ark import ArkWriter, read_ark, read_matrix
from omni_asr.kaldi.matrix import AGAIN, LARGEST, feature_fault
from omni_asr.kaldi.pipes import check_pipes
from omni_asr.kaldi.tables import read_table

LEAST_DEVIATION = 1e-4
"""A bin that hardly varies is scaled as if by this standard deviation."""


def compute_cmvn(data_dir: str | os.PathLike[str], out: str | os.PathLike[str]) -> tuple[int, int]:
    """Write Kaldi's global statistics (2, F + 1) of feats.scp under the key ``global``; return utterances and frames.

    Raises:
        UserError: feats.scp is missing or empty, a matrix has another width than the others, or a value is not finite.
    """
    path = Path(data_dir) / "feats.scp"
    columns = columns_of(data_dir)
    sums: np.ndarray | None = None
    squares: np.ndarray | None = None
    frames = 0
    check_pipes(path)
    table = read_table(path)
    for key, value in table.items():
        matrix = read_matrix(value).astype(np.float64)
        fault = feature_fault(matrix, columns)
        if fault:
            raise UserError(f"{path}: features of {key}: {value}: {fault}; {AGAIN}")
        if sums is None or squares is None:
            columns = matrix.shape[1]
            sums, squares = np.zeros(columns), np.zeros(columns)
        sums += matrix.sum(0)
        squares += np.square(matrix).sum(0)
        frames += len(matrix)
    if sums is None or squares is None:
        raise UserError(f"{path} is empty; make the features first")
    stats = np.stack([np.append(sums, frames), np.append(squares, 0.0)])
    with ArkWriter(out, compression_method=None) as write:
        write("global", stats)
    return len(table), frames


def read_cmvn_stats(path: str | os.PathLike[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read global statistics as (mean, 1 / standard deviation), each (F,).

    Raises:
        UserError: the file is missing, holds something else, or numbers that are no statistics of features.
    """
    if not Path(path).exists():
        raise UserError(f"{path} is missing; stage 2 makes it")
    _, stats = next(iter(read_ark(path)), ("", np.zeros(())))
    if stats.ndim != 2 or stats.shape[0] != 2 or stats[0, -1] <= 0:
        raise UserError(f"{path} does not hold global CMVN statistics; make them with omni-asr compute-cmvn")
    limit_2F = stats[0, -1] * np.array([[LARGEST], [LARGEST**2]])
    if not (np.isfinite(stats).all() and (np.abs(stats[:, :-1]) <= limit_2F).all()):
        what = "a number that is not finite, or too large for a sum of features"
        raise UserError(f"{path} holds {what}; make it again with omni-asr compute-cmvn")
    count = stats[0, -1]
    mean_F = stats[0, :-1] / count
    variance_F = np.maximum(stats[1, :-1] / count - mean_F**2, LEAST_DEVIATION**2)
    return mean_F, variance_F**-0.5
