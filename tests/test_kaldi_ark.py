import kaldiio
import numpy as np
import pytest

from omni_asr.data.dataset import UtteranceSet
from omni_asr.data.shard import write_shards
from omni_asr.errors import UserError
from omni_asr.features.check import matrix_faults
from omni_asr.features.cmvn import compute_cmvn
from omni_asr.kaldi.ark import ArkWriter, num_frames, read_ark, read_matrix
from omni_asr.kaldi.tables import read_table, write_table

MATRICES = {
    "u2": np.random.default_rng(1).normal(size=(50, 80)).astype(np.float32),
    "u1": np.random.default_rng(2).normal(size=(3, 80)).astype(np.float32),
    "flat": np.full((9, 80), -15.9424, dtype=np.float32),
}


def write(folder, method):
    with ArkWriter(folder / "f.ark", folder / "f.scp", compression_method=method) as writer:
        for key, matrix in MATRICES.items():
            writer(key, matrix)
    return read_table(folder / "f.scp")


@pytest.mark.parametrize("method", [None, 2, 3, 5])
def test_matrices_come_back_and_frames_are_known_from_headers(tmp_path, method):
    table = write(tmp_path, method)
    assert list(table) == ["flat", "u1", "u2"]
    assert all(value.startswith(f"{tmp_path}/f.ark:") for value in table.values())
    for key, matrix in MATRICES.items():
        read = read_matrix(table[key])
        assert read.shape == matrix.shape
        assert np.abs(read - matrix).max() < (1e-9 if method is None else 0.15)
        assert num_frames(table[key]) == len(matrix)
    for key, matrix in read_ark(tmp_path / "f.ark"):
        assert matrix.shape == MATRICES[key].shape


def test_other_readers_read_the_archive(tmp_path):
    write(tmp_path, 2)
    assert {key: matrix.shape for key, matrix in kaldiio.load_scp(str(tmp_path / "f.scp")).items()} == {
        key: matrix.shape for key, matrix in MATRICES.items()
    }


def test_nothing_appears_after_an_error(tmp_path):
    write(tmp_path, 2)
    before = (tmp_path / "f.ark").read_bytes(), (tmp_path / "f.scp").read_bytes()
    with pytest.raises(KeyboardInterrupt), ArkWriter(tmp_path / "f.ark", tmp_path / "f.scp") as writer:
        writer("x", MATRICES["u1"])
        raise KeyboardInterrupt
    assert ((tmp_path / "f.ark").read_bytes(), (tmp_path / "f.scp").read_bytes()) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.ark", "f.scp"]


def test_an_id_twice_is_refused(tmp_path):
    with pytest.raises(UserError, match="second time"), ArkWriter(tmp_path / "f.ark") as writer:
        writer("x", MATRICES["u1"])
        writer("x", MATRICES["u1"])


def test_row_ranges_and_text_matrices_are_read(tmp_path):
    table = write(tmp_path, None)
    np.testing.assert_array_equal(read_matrix(table["u2"] + "[5:9]"), MATRICES["u2"][5:10])
    (tmp_path / "t.ark").write_text("x  [\n  1.0 2.0\n  3.0 4.0 ]\n")
    assert num_frames(f"{tmp_path}/t.ark:2") == 2


@pytest.mark.parametrize("place", ["missing.ark:7", "f.ark:4", "f.ark:999999", "junk:0"])
def test_bad_places_are_named_in_one_line(tmp_path, place):
    write(tmp_path, 2)
    (tmp_path / "junk").write_bytes(b"\0\1\2\3nothing of the kind")
    with pytest.raises(UserError) as error:
        read_matrix(f"{tmp_path}/{place}")
    assert place in str(error.value) and "\n" not in str(error.value)


def save_with_numpy(folder, matrices):
    """Write an archive and its table as ``write_function="numpy"`` of kaldiio does."""
    kaldiio.save_ark(str(folder / "n.ark"), matrices, scp=str(folder / "feats.scp"), write_function="numpy")
    return read_table(folder / "feats.scp")


@pytest.mark.parametrize("change", [np.asarray, np.asfortranarray, lambda matrix: matrix.astype(">f8")])
def test_arrays_of_numpy_are_features_for_every_reader(tmp_path, change):
    table = save_with_numpy(tmp_path, {key: change(MATRICES[key]) for key in sorted(MATRICES)})
    write_table(tmp_path / "utt2num_frames", {key: str(len(MATRICES[key])) for key in table})
    utterances = UtteranceSet(tmp_path, None)
    for index, (key, value) in enumerate(table.items()):
        read = [read_matrix(value), read_matrix(f"{value}[0:99]"), utterances.load(index)]
        read.append(read_matrix(f"tail -c +{int(value.rpartition(':')[2]) + 1} {tmp_path}/n.ark |"))
        for matrix in read:
            np.testing.assert_array_equal(matrix, MATRICES[key])
        assert num_frames(value) == len(MATRICES[key])
    assert [key for key, _ in read_ark(tmp_path / "n.ark")] == list(table)
    assert list(matrix_faults(tmp_path)) == []
    assert compute_cmvn(tmp_path, tmp_path / "cmvn.ark") == (3, 62)
    assert write_shards(tmp_path, tmp_path / "shards", 2, 1) == 2


@pytest.mark.parametrize(
    "array", [np.zeros(3), np.zeros((2, 3, 4)), np.array(1.0), np.array([["a", "b"]]), np.array([[{}]], dtype=object)]
)
def test_arrays_of_numpy_that_are_no_matrix_of_numbers_are_refused(tmp_path, array):
    table = save_with_numpy(tmp_path, {"a": array})
    with pytest.raises(UserError, match="no matrix at .*n.ark:2"):
        read_matrix(table["a"])


@pytest.mark.parametrize("end", [3, 4, 20, 100, -1])
def test_a_torn_array_of_numpy_is_refused(tmp_path, end):
    value = save_with_numpy(tmp_path, {"a": MATRICES["u1"]})["a"]
    (tmp_path / "n.ark").write_bytes((tmp_path / "n.ark").read_bytes()[: 2 + end if end > 0 else end])
    with pytest.raises(UserError, match="no matrix at .*n.ark:2"):
        read_matrix(value)


def test_a_shape_in_an_array_of_numpy_asks_for_no_more_than_the_file_has(tmp_path):
    value = save_with_numpy(tmp_path, {"a": MATRICES["u1"]})["a"]
    data = (tmp_path / "n.ark").read_bytes()
    shape, larger = b"(3, 80), }       ", b"(99999999, 80), }"
    assert shape in data and len(shape) == len(larger)
    (tmp_path / "n.ark").write_bytes(data.replace(shape, larger))
    with pytest.raises(UserError, match="no matrix at"):
        read_matrix(value)
