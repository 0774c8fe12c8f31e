"""Features of a data directory after the jobs: joining them."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from omni_asr.errors import UserError
from omni_asr.files import atomic_write, open_to_write, temporary_folder
from omni_asr.kaldi.data_dir import DataDir
from omni_asr.kaldi.sorted_tables import Key, differences, read_keys, sort_keys, sort_lines
from omni_asr.kaldi.tables import read_entries, read_lines, sort_key, write_table

MISSING = "no job wrote features or a reason for it"


def collect_features(
    data_dir: str | os.PathLike[str], jobs: int, prefix: str, max_removed: float = 0.05
) -> tuple[int, dict[str, str]]:
    """Join ``<prefix>.{1..jobs}.*`` into feats.scp, utt2num_frames, fbank.conf and removed_utts of a data directory.

    Tables are sorted on the disk and walked side by side; in memory are the utterances without features.

    Returns the number of utterances with features, and the reason for each one without.

    Raises:
        UserError: a job's output is missing, jobs used different options, two jobs wrote one utterance, none has
            features, or the share of utterances without features is above ``max_removed``.
    """
    data = DataDir(data_dir)
    conf = _options(prefix, jobs)
    with temporary_folder(data.path / "collect") as folder:
        scp, frames, failed = (Sorted(folder, prefix, jobs, suffix) for suffix in ("scp", "utt2num_frames", "failed"))
        utterances = folder / "utterances"
        source = next((name for name in ("utt2spk", "segments") if data.has(name)), "wav.scp")
        total = sort_keys((Key(key, line) for line, key, _ in read_entries(data.path / source)), utterances)
        removed = _removed(scp, failed, utterances, f"{prefix}.*: ", str(data_dir))
        kept = total - len(removed)
        write_table(data.path / "removed_utts", removed)
        if len(removed) > max_removed * total or not kept:
            key, reason = next(iter(removed.items()), ("", "the directory is empty"))
            raise UserError(
                f"{len(removed)} of {total} utterances of {data_dir} have no features, more than "
                f"--max-removed {max_removed:g} allows; the first is {key}: {reason}; see {data.path / 'removed_utts'}"
            )
        frames.write(data.path / "utt2num_frames")
        with atomic_write(data.path / "fbank.conf") as file:
            file.write("".join(f"{line}\n" for line in conf))
        scp.write(data.path / "feats.scp")
    return kept, removed


def source_rates(jobs: int, prefix: str) -> dict[int, int]:
    """Utterances of all jobs by the sample rate of their recordings.

    Raises:
        UserError: the table of a job is missing or broken.
    """
    rates: Counter[int] = Counter()
    for job in range(1, jobs + 1):
        for number, rate, count in read_entries(f"{prefix}.{job}.rates"):
            if not rate.isdecimal() or not count.isdecimal():
                raise UserError(
                    f"{prefix}.{job}.rates:{number}: expected '<rate> <utterances>', found '{rate} {count}'"
                )
            rates[int(rate)] += int(count)
    return dict(sorted(rates.items()))


def _options(prefix: str, jobs: int) -> list[str]:
    """Lines of the ``.conf`` of every job."""
    conf: list[str] = []
    for job in range(1, jobs + 1):
        if not Path(f"{prefix}.{job}.scp").is_file():
            raise UserError(f"{prefix}.{job}.scp does not exist; run make-fbank for job {job} of {jobs} again")
        if conf and conf != read_lines(f"{prefix}.{job}.conf"):
            raise UserError(f"{prefix}.{job}.conf differs from {prefix}.1.conf; make the features of all jobs again")
        conf = read_lines(f"{prefix}.{job}.conf")
    return conf


class Sorted:
    """The tables of all jobs as one, sorted on the disk.

    Raises:
        UserError: a table is missing or broken, or two lines are of one utterance.
    """

    def __init__(self, folder: Path, prefix: str, jobs: int, suffix: str) -> None:
        self.path = folder / suffix
        with open_to_write(self.path) as file:
            for job in range(1, jobs + 1):
                for number, key, value in read_entries(f"{prefix}.{job}.{suffix}"):
                    file.write(f"{key}\t{job}\t{number}\t{value}\n")
        sort_lines(self.path, "-k1,1", "-k2,2n", "-k3,3n")
        before = ("", "")
        for key, writer, line, _ in self._fields():
            path = f"{prefix}.{writer}.{suffix}"
            if (key, writer) == before:
                raise UserError(f"{path}:{line}: {key!r} occurs a second time; ids must be unique")
            if key == before[0]:
                what = "is in an earlier job too; split the directory and run the jobs again"
                raise UserError(f"{path}: {key!r} {what}")
            before = (key, writer)

    def _fields(self) -> Iterator[list[str]]:
        with open(self.path, encoding="utf-8", newline="\n") as file:
            for line in file:
                yield line.rstrip("\n").split("\t", 3)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return ((key, value) for key, _, _, value in self._fields())

    def keys(self) -> Iterator[Key]:
        """Ids, without their lines."""
        return (Key(key, 0) for key, _ in self)

    def write(self, path: Path) -> None:
        """Write it as a table."""
        with atomic_write(path) as file:
            file.writelines(f"{key} {value}\n" for key, value in self)


def _removed(scp: Sorted, failed: Sorted, utterances: Path, where: str, data_dir: str) -> dict[str, str]:
    """Utterances that are not in ``scp``, with their reasons.

    Raises:
        UserError: an utterance of a job is not one of the directory.
    """
    unknown = [
        next((key.name for key, lacks in differences(table.keys(), read_keys(utterances)) if not lacks), None)
        for table in (scp, failed)
    ]
    known = [name for name in unknown if name is not None]
    if known:
        raise UserError(f"{where}utterance {min(known)!r} is not in {data_dir}; make the features again")
    removed: dict[str, str] = {}
    reasons = iter(failed)
    reason = next(reasons, None)
    for key, _ in differences(scp.keys(), read_keys(utterances)):
        while reason is not None and sort_key(reason[0]) < sort_key(key.name):
            reason = next(reasons, None)
        removed[key.name] = reason[1] if reason is not None and reason[0] == key.name else MISSING
    return removed
