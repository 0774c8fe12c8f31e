"""Features of a data directory after the jobs: joining them."""

import os
from pathlib import Path

from omni_asr.errors import UserError
from omni_asr.files import atomic_write
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
