"""The check of the matrices that feats.scp names reads no more of the archives than it needs."""

import os

import numpy as np
import pytest
from manifest_helpers import BINS, write_features

from omni_asr.features.check import matrix_faults
from omni_asr.kaldi.ark import ArkWriter, read_matrix
from omni_asr.kaldi.matrix import LONGEST_HEADER
from omni_asr.kaldi.tables import read_table


@pytest.fixture
def reads(monkeypatch):
    """Archives that are opened, and sizes of what is read from them."""
    opened, sizes = [], []
    open_file, pread = os.open, os.pread

    def counting_open(path, *args, **kwargs):
        if str(path).endswith(".ark"):
            opened.append(str(path))
        return open_file(path, *args, **kwargs)

    def counting_pread(file, size, offset):
        sizes.append(size)
        return pread(file, size, offset)

    monkeypatch.setattr(os, "open", counting_open)
    monkeypatch.setattr(os, "pread", counting_pread)
    return opened, sizes


@pytest.mark.parametrize("compression", [None, 2, 3, 5])
def test_each_archive_is_opened_once_and_of_matrices_the_headers_are_read(tmp_path, reads, compression):
    folder, (opened, sizes) = write_features(tmp_path / "d", compression=compression), reads
    assert list(matrix_faults(folder, values=False)) == []
    assert sorted(opened) == [f"{folder}/{ark}.ark" for ark in range(3)]
    assert len(sizes) == 21 and max(sizes) <= LONGEST_HEADER


def test_values_are_read_on_demand(tmp_path, reads):
    folder, (opened, sizes) = write_features(tmp_path / "d", compression=None), reads
    assert list(matrix_faults(folder)) == []
    assert len(opened) == 3 and max(sizes) > 10 * BINS * 4


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("compression", [None, 2, 3, 5])
def test_values_out_of_range_are_found_without_values_where_the_header_bounds_them(tmp_path, compression):
    folder = write_features(tmp_path / "d")
    matrices = {key: read_matrix(value) for key, value in read_table(folder / "feats.scp").items()}
    matrices["u003-0"] = np.full((40, BINS), np.nan, np.float32)
    matrices["u004-0"] = np.zeros((0, BINS), np.float32)
    with np.errstate(all="ignore"), ArkWriter(folder / "x.ark", folder / "feats.scp", compression) as write:
        for key, matrix in matrices.items():
            if len(matrix) or compression is None:
                write(key, matrix)
    (folder / "utt2num_frames").unlink()
    faults = {values: [fault.split("'")[1] for fault in matrix_faults(folder, values)] for values in (False, True)}
    empty = ["u004-0"] if compression is None else []
    assert faults[True] == ["u003-0", *empty]
    assert faults[False] == (["u003-0"] if compression is not None else empty)


def test_a_wrong_matrix_does_not_set_the_width(tmp_path):
    folder = write_features(tmp_path / "d")
    matrices = {key: read_matrix(value) for key, value in read_table(folder / "feats.scp").items()}
    matrices["u000-0"] = np.zeros((0, 3), np.float32)
    with ArkWriter(folder / "x.ark", folder / "feats.scp", None) as write:
        for key, matrix in matrices.items():
            write(key, matrix)
    faults = list(matrix_faults(folder))
    assert len(faults) == 1 and "feats.scp:1: features of 'u000-0': " in faults[0] and "is empty" in faults[0]
