"""Checks of the matrices that ``feats.scp`` names."""

import os
from collections.abc import Iterator
from pathlib import Path

from omni_asr.audio.fbank_conf import columns_of
from omni_asr.errors import UserError
from omni_asr.kaldi.ark import read_matrix, stored_header
from omni_asr.kaldi.matrix import feature_fault, width_fault
from omni_asr.kaldi.tables import read_entries, sort_key


def check_matrices(data_dir: str | os.PathLike[str]) -> None:
    """Check the matrices of a data directory whose tables are valid.

    Raises:
        UserError: names the first of :func:`matrix_faults`, and how many there are.
    """
    faults = matrix_faults(Path(data_dir))
    first = next(faults, "")
    others = sum(1 for _ in faults)
    if first:
        raise UserError(first + (f" ({others} more are wrong)" if others else ""))


def matrix_faults(data_dir: Path) -> Iterator[str]:
    """Wrong matrices of a sorted ``feats.scp``, as ``file:line: ...``: torn, of another length or width, not finite.

    The width is that of ``fbank.conf``, or of the first matrix. A compressed matrix is judged by its header, which
    bounds its values; any other is read.
    """
    scp, columns = data_dir / "feats.scp", columns_of(data_dir)
    lengths = _lengths(data_dir / "utt2num_frames")
    length = next(lengths, None)
    for number, utterance, value in read_entries(scp):
        while length is not None and sort_key(length[0]) < sort_key(utterance):
            length = next(lengths, None)
        try:
            rows, width, fault = _look(value, columns)
        except UserError as error:
            yield f"{scp}:{number}: features of {utterance!r}: {error}"
            continue
        columns = columns or width
        if not fault and length is not None and length[0] == utterance and length[1] != str(rows):
            fault = f"{rows} frames where utt2num_frames has {length[1]}"
        if fault:
            yield f"{scp}:{number}: features of {utterance!r}: {value}: {fault}"


def _look(value: str, columns: int | None) -> tuple[int, int, str]:
    """Rows and columns of a matrix, and why it is wrong."""
    header = stored_header(value)
    if header is not None and header.is_bounded:
        return header.rows, header.columns, width_fault(header.columns, columns)
    matrix = read_matrix(value)
    return len(matrix), matrix.shape[-1], feature_fault(matrix, columns)


def _lengths(path: Path) -> Iterator[tuple[str, str]]:
    for _, key, value in read_entries(path) if path.is_file() else ():
        yield key, value
