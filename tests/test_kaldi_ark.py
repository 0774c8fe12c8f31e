import kaldiio
import numpy as np
import pytest

from omni_asr.errors import UserError
from omni_asr.kaldi.ark import ArkWriter, num_frames, read_ark, read_matrix
from omni_asr.kaldi.tables import read_table

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
