"""Checks of the matrices that ``feats.scp`` names."""

from collections.abc import Iterator
from pathlib import Path

from omni_asr.audio.fbank_conf import columns_of
from omni_asr.errors import UserError
from omni_asr.kaldi.ark import read_matrix, split_place
from omni_asr.kaldi.matrix import COMPRESSED, ArkFiles, feature_fault, header_fault, stored_fault
from omni_asr.kaldi.tables import read_entries, sort_key


def matrix_faults(data_dir: Path, values: bool = True) -> Iterator[str]:
    """Wrong matrices of a sorted ``feats.scp``, as ``file:line: ...``: torn, of another length or width, not finite.

    The width is that of ``fbank.conf``, or of the first sound matrix. The header of a compressed matrix bounds its
    values; those of an uncompressed one are read only with ``values``. Text and the output of commands are read.
    """
    scp, columns, files = data_dir / "feats.scp", columns_of(data_dir), ArkFiles()
    lengths = _lengths(data_dir / "utt2num_frames")
    length = next(lengths, None)
    for number, utterance, value in read_entries(scp):
        while length is not None and sort_key(length[0]) < sort_key(utterance):
            length = next(lengths, None)
        try:
            rows, width, fault = _look(files, value, columns, values)
        except UserError as error:
            yield f"{scp}:{number}: features of {utterance!r}: {error}"
            continue
        if not fault:
            columns = columns or width
        if not fault and length is not None and length[0] == utterance and length[1] != str(rows):
            fault = f"{rows} frames where utt2num_frames has {length[1]}"
        if fault:
            yield f"{scp}:{number}: features of {utterance!r}: {value}: {fault}"


def _look(files: ArkFiles, value: str, columns: int | None, values: bool) -> tuple[int, int, str]:
    """Rows and columns of a matrix, and why it is wrong."""
    place = split_place(value)
    header = files.read_header(*place) if place else None
    if place is None or header is None:
        matrix = read_matrix(value)
        return len(matrix), matrix.shape[-1], feature_fault(matrix, columns)
    fault = header_fault(header, columns)
    is_uncertain = header.kind in COMPRESSED or values
    if not fault and not header.is_bounded and is_uncertain:
        stored = files.read(*place, header.rows)
        fault = stored_fault(*stored, columns) if stored is not None else ""
    return header.rows, header.columns, fault


def _lengths(path: Path) -> Iterator[tuple[str, str]]:
    for _, key, value in read_entries(path) if path.is_file() else ():
        yield key, value
