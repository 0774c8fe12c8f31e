"""Damaged headers of archives, which declare more values than the archive holds.

Memory for all of them was asked for before anything was read.
"""

import struct
import tracemalloc

import numpy as np
import pytest
from manifest_helpers import write_features

from omni_asr.data.dataset import UtteranceSet
from omni_asr.errors import UserError
from omni_asr.features.check import matrix_faults
from omni_asr.features.cmvn import compute_cmvn, read_cmvn_stats
from omni_asr.kaldi.ark import num_frames, read_ark, read_matrix
from omni_asr.kaldi.tables import read_table

HUGE = 2**31 - 1
ROWS = {None: 6, 2: 14, 3: 15, 5: 15}
"""Where the rows stand after the start of a matrix, by compression method."""
COLUMNS = {None: 11, 2: 18, 3: 19, 5: 19}


@pytest.fixture(autouse=True)
def little_memory():
    """Fail a test that allocates more than a few MiB."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20


@pytest.mark.parametrize("compression", [None, 2, 3, 5])
@pytest.mark.parametrize(("rows", "columns"), [(HUGE, None), (HUGE, HUGE), (None, HUGE), (-5, None), (0, HUGE)])
def test_it_is_compared_with_the_file_first(tmp_path, compression, rows, columns):
    folder = write_features(tmp_path / "d", arks=1, compression=compression)
    place = read_table(folder / "feats.scp")["u000-0"]
    start = int(place.rpartition(":")[2])
    data = bytearray((folder / "0.ark").read_bytes())
    for value, offset in ((rows, ROWS[compression]), (columns, COLUMNS[compression])):
        if value is not None:
            data[start + offset : start + offset + 4] = struct.pack("<i", value)
    (folder / "0.ark").write_bytes(data)
    utterances = UtteranceSet(folder, None)
    reads = [lambda: utterances.load(0), lambda: utterances.load_bytes(0)]
    reads += [lambda: compute_cmvn(folder, folder / "cmvn.ark")]
    if rows != 0:
        reads += [lambda: read_matrix(place), lambda: read_matrix(f"{place}[0:3]"), lambda: num_frames(place)]
        reads += [lambda: list(read_ark(folder / "0.ark")), lambda: read_cmvn_stats(folder / "0.ark")]
        reads += [lambda: read_matrix(f"tail -c +{start + 1} {folder}/0.ark |")]
    for read in reads:
        with pytest.raises(UserError) as error:
            read()
        assert "\n" not in str(error.value)
    faults = list(matrix_faults(folder, values=False))
    assert len(faults) == 1 and faults[0].startswith(f"{folder}/feats.scp:1: features of 'u000-0': {place}: ")


def test_a_length_in_the_table_asks_for_no_more_than_the_file_has(tmp_path):
    folder = write_features(tmp_path / "d", arks=1)
    lines = (folder / "utt2num_frames").read_text().splitlines()
    (folder / "utt2num_frames").write_text("\n".join([f"u000-0 {HUGE}", *lines[1:]]) + "\n")
    with pytest.raises(UserError, match=f"frames where {HUGE} should be"):
        UtteranceSet(folder, None).load(0)


@pytest.mark.parametrize(
    "content", [b"PKL\x80\x04.", b"NPY\x01", b"\0B\4\xff\xff\xff\x7f", b"\0BFV \4\xff\xff\xff\x7f"]
)
def test_what_is_no_matrix_is_not_read_as_one(tmp_path, content):
    """Pickled objects run code when they are read, and vectors ask for memory as matrices do."""
    (tmp_path / "x.ark").write_bytes(content)
    for place in (f"{tmp_path}/x.ark:0", f"{tmp_path}/x.ark", f"cat {tmp_path}/x.ark |"):
        with pytest.raises(UserError, match="no matrix at|holds a pickled object"):
            read_matrix(place)


def test_a_matrix_in_text_is_judged_as_well(tmp_path):
    (tmp_path / "t.ark").write_text("a  [\n  1.0 2.0\n  nan 4.0 ]\n")
    assert np.isnan(read_matrix(f"{tmp_path}/t.ark:2")).sum() == 1
    for table, value in (("feats.scp", f"a {tmp_path}/t.ark:2\n"), ("utt2num_frames", "a 2\n")):
        (tmp_path / table).write_text(value)
    with pytest.raises(UserError, match="features of a: .*: a value is not a finite number"):
        UtteranceSet(tmp_path, None).load(0)
