"""More archives and more parts than the process may open files (`ulimit -n 64`)."""

import contextlib
import resource

import numpy as np
import pytest
from kaldi_helpers import read, write_dir

from omni_asr.bin import collect_feats, run_program, split
from omni_asr.data.dataset import UtteranceSet
from omni_asr.files import AppendedFiles, most_open
from omni_asr.kaldi.ark import ArkWriter
from omni_asr.kaldi.matrix import ArkFiles
from omni_asr.kaldi.tables import write_table

PARTS = 120
NAMES = [f"s{number:03}-a" for number in range(PARTS)]


@contextlib.contextmanager
def open_files(limit):
    """Lower the number of files that this process may open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def data(tmp_path):
    """A directory with as many recordings, speakers and archives as parts."""
    for number, name in enumerate(NAMES, 1):
        with ArkWriter(tmp_path / f"fbank/x.{number}.ark", tmp_path / f"fbank/x.{number}.scp") as write:
            write(name, np.full((12, 8), number, np.float32))
        write_table(tmp_path / f"fbank/x.{number}.utt2num_frames", {name: "12"})
        write_table(tmp_path / f"fbank/x.{number}.failed", {})
        write_table(tmp_path / f"fbank/x.{number}.rates", {"16000": "1"})
        (tmp_path / f"fbank/x.{number}.conf").write_text("--num-mel-bins=8\n")
    tables = {
        "wav_scp": "\n".join(f"r{number:03} /r{number}.wav" for number in reversed(range(PARTS))),
        "segments": "\n".join(f"{name} r{number * 7 % PARTS:03} 0 1" for number, name in enumerate(NAMES)),
        "text": "\n".join(f"{name} word" for name in NAMES),
        "utt2spk": "\n".join(f"{name} {name[:4]}" for name in NAMES),
    }
    tables["wav_scp"] = "\n".join(sorted(tables["wav_scp"].split("\n")))
    return write_dir(tmp_path / "data", **tables)


def test_split_into_many_parts(data, capsys):
    with open_files(64):
        assert run_program(split.main, [str(data), str(PARTS)]) == 0, capsys.readouterr().err
    for number, name in enumerate(NAMES):
        part = data / f"split{PARTS}" / str(number + 1)
        assert read(part, "text") == [f"{name} word"] and read(part, "spk2utt") == [f"{name[:4]} {name}"]
        assert read(part, "wav.scp") == [f"r{number * 7 % PARTS:03} /r{number * 7 % PARTS}.wav"]


def test_reading_many_archives_in_several_sets(data, capsys):
    with open_files(64):
        arguments = [str(data), str(PARTS), str(data.parent / "fbank/x")]
        assert run_program(collect_feats.main, arguments) == 0, capsys.readouterr().err
        sets = [UtteranceSet(data, tokenizer=None) for _ in range(2)]  # of which each keeps archives open
        for number in range(PARTS):
            for utterances in sets:
                assert np.allclose(utterances.load(number), number + 1, atol=0.01)


def test_archives_are_closed_when_nothing_else_may_be_opened(data):
    archives, others = ArkFiles(), []
    paths = [data.parent / f"fbank/x.{number}.ark" for number in range(1, PARTS + 1)]
    with open_files(64), contextlib.ExitStack() as stack:
        for path in paths[:5]:
            assert archives.read(str(path), len("s000-a "), 12) is not None
        with contextlib.suppress(OSError):
            while True:
                others.append(stack.enter_context(open(data / "text")))
        assert others and archives.read(str(paths[9]), len("s000-a "), 12) is not None


@pytest.mark.parametrize(("limit", "most"), [(64, 16), (2, 1), (4096, 256), (resource.RLIM_INFINITY, 256)])
def test_how_many_files_may_be_open(monkeypatch, limit, most):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    assert most_open() == most


def test_files_written_side_by_side(tmp_path, monkeypatch):
    monkeypatch.setattr("omni_asr.files.most_open", lambda: 2)
    paths = [tmp_path / str(number) for number in range(5)]
    with AppendedFiles(paths) as files:
        for line in range(3):
            for number in range(4):
                files.write(number, f"{line}\n")
    assert [path.read_text() for path in paths] == ["0\n1\n2\n"] * 4 + [""]
