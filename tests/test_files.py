import os
import stat

import pytest

from omni_asr.files import atomic_write


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir())


def test_writes_text_with_plain_newlines(tmp_path):
    with atomic_write(tmp_path / "text") as file:
        file.write("utt1 größe\nutt2 two\n")
    assert (tmp_path / "text").read_bytes() == "utt1 größe\nutt2 two\n".encode()
    assert leftovers(tmp_path) == ["text"]


def test_writes_bytes_and_makes_parent_folders(tmp_path):
    path = tmp_path / "data" / "train" / "feats.ark"
    with atomic_write(path, "wb") as file:
        file.write(b"\0B")
    assert path.read_bytes() == b"\0B"


@pytest.mark.parametrize("interruption", [ValueError, KeyboardInterrupt])
def test_an_interrupted_write_leaves_the_old_file(tmp_path, interruption):
    path = tmp_path / "text"
    path.write_text("old\n")
    with pytest.raises(interruption), atomic_write(path) as file:
        file.write("half of the n")
        raise interruption
    assert path.read_text() == "old\n"
    assert leftovers(tmp_path) == ["text"]


def test_an_interrupted_first_write_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), atomic_write(tmp_path / "text") as file:
        file.write("half")
        raise RuntimeError
    assert leftovers(tmp_path) == []


def test_the_file_is_absent_until_the_block_ends(tmp_path):
    with atomic_write(tmp_path / "text") as file:
        file.write("line\n")
        assert not (tmp_path / "text").exists()
    assert (tmp_path / "text").exists()


def test_the_file_has_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_text("")
    with atomic_write(tmp_path / "text") as file:
        file.write("line\n")
    assert stat.S_IMODE((tmp_path / "text").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_a_folder_that_cannot_be_listed_is_written_into(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    with atomic_write(tmp_path / "text") as file:
        file.write("line\n")
    assert (tmp_path / "text").read_text() == "line\n"
