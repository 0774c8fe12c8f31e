"""Features of a data directory after the jobs: joining them, and their global statistics."""

import os
from pathlib import Path

import numpy as np

from omni_asr.errors import UserError
from omni_asr.files import atomic_write
from omni_asr.kaldi.ark import ArkWriter, read_matrix
from omni_asr.kaldi.data_dir import DataDir
from omni_asr.kaldi.tables import read_lines, read_table, write_table

MISSING = "no job wrote features or a reason for it"


def collect_features(
    data_dir: str | os.PathLike[str], jobs: int, prefix: str, max_removed: float = 0.05
) -> tuple[int, dict[str, str]]:
    """Join ``<prefix>.{1..jobs}.*`` into feats.scp, utt2num_frames, fbank.conf and removed_utts of a data directory.

    Returns the number of utterances with features, and the reason for each one without.

    Raises:
        UserError: a job's output is missing, jobs used different options, two jobs wrote one utterance, none has
            features, or the share of utterances without features is above ``max_removed``.
    """
    data = DataDir(data_dir)
    wanted = set(data.utterances)
    scp: dict[str, str] = {}
    frames: dict[str, str] = {}
    failed: dict[str, str] = {}
    conf: list[str] = []
    for job in range(1, jobs + 1):
        scp_path = Path(f"{prefix}.{job}.scp")
        if not scp_path.is_file():
            raise UserError(f"{scp_path} does not exist; run make-fbank for job {job} of {jobs} again")
        if conf and conf != read_lines(f"{prefix}.{job}.conf"):
            raise UserError(f"{prefix}.{job}.conf differs from {prefix}.1.conf; make the features of all jobs again")
        conf = read_lines(f"{prefix}.{job}.conf")
        _join(scp, scp_path)
        _join(frames, Path(f"{prefix}.{job}.utt2num_frames"))
        _join(failed, Path(f"{prefix}.{job}.failed"))
    unknown = min((scp.keys() | failed.keys()) - wanted, default="")
    if unknown:
        raise UserError(f"{prefix}.*: utterance {unknown!r} is not in {data_dir}; make the features again")
    removed = {key: failed.get(key, MISSING) for key in data.utterances if key not in scp}
    write_table(data.path / "removed_utts", removed)
    if len(removed) > max_removed * len(wanted) or not scp:
        key, reason = next(iter(removed.items()), ("", "the directory is empty"))
        raise UserError(
            f"{len(removed)} of {len(wanted)} utterances of {data_dir} have no features, more than "
            f"--max-removed {max_removed:g} allows; the first is {key}: {reason}; see {data.path / 'removed_utts'}"
        )
    write_table(data.path / "utt2num_frames", frames)
    with atomic_write(data.path / "fbank.conf") as file:
        file.write("".join(f"{line}\n" for line in conf))
    write_table(data.path / "feats.scp", scp)
    return len(scp), removed


def _join(table: dict[str, str], path: Path) -> None:
    part = read_table(path)
    twice = table.keys() & part.keys()
    if twice:
        raise UserError(f"{path}: {min(twice)!r} is in an earlier job too; split the directory and run the jobs again")
    table.update(part)


def compute_cmvn(data_dir: str | os.PathLike[str], out: str | os.PathLike[str]) -> tuple[int, int]:
    """Write Kaldi's global statistics (2, F + 1) of feats.scp under the key ``global``; return utterances and frames.

    The first row holds the sums and the number of frames, the second the sums of squares and 0.

    Raises:
        UserError: feats.scp is missing or empty, or matrices differ in width.
    """
    path = Path(data_dir) / "feats.scp"
    sums: np.ndarray | None = None
    squares: np.ndarray | None = None
    frames = 0
    table = read_table(path)
    for key, value in table.items():
        matrix = read_matrix(value).astype(np.float64)
        if sums is None or squares is None:
            sums, squares = np.zeros(matrix.shape[1]), np.zeros(matrix.shape[1])
        if matrix.shape[1] != len(sums):
            raise UserError(f"{path}: {key} has {matrix.shape[1]} columns, the first has {len(sums)}")
        sums += matrix.sum(0)
        squares += np.square(matrix).sum(0)
        frames += len(matrix)
    if sums is None or squares is None:
        raise UserError(f"{path} is empty; make the features first")
    stats = np.stack([np.append(sums, frames), np.append(squares, 0.0)])
    with ArkWriter(out, compression_method=None) as write:
        write("global", stats)
    return len(table), frames
