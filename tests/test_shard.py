"""Shards hold the same utterances, in another order, in a directory that is as valid as before."""

from pathlib import Path

import numpy as np
import pytest
from manifest_helpers import write_features

from omni_asr.bin import run_program
from omni_asr.bin import shard as shard_program
from omni_asr.data.dataset import UtteranceSet
from omni_asr.kaldi.tables import read_table
from omni_asr.kaldi.validate import validate


@pytest.fixture
def data(tmp_path):
    folder = write_features(tmp_path / "d", arks=2, each=10)
    utts = list(read_table(folder / "feats.scp"))
    (folder / "utt2spk").write_text("".join(f"{utt} {utt}\n" for utt in utts))
    (folder / "spk2utt").write_text("".join(f"{utt} {utt}\n" for utt in utts))
    (folder / "fbank.conf").write_text("--num-mel-bins=5\n")
    return folder


def shard(*arguments: object) -> int:
    return run_program(shard_program.main, [str(argument) for argument in arguments])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_utterances_shuffled_over_archives(data, tmp_path):
    assert shard(data, tmp_path / "out", "--utts-per-shard", 6, "--seed", 3) == 0
    assert validate(tmp_path / "out", wav=False)["utt"] == 20
    before, after = UtteranceSet(data, None), UtteranceSet(tmp_path / "out", None)
    assert list(before.utts) == list(after.utts)
    for index in range(20):
        assert before.load_bytes(index) == after.load_bytes(index)
        np.testing.assert_array_equal(before.load(index), after.load(index))
    assert [len(part) for part in after.shards if len(part)] and sorted(map(len, after.shards)) == [2, 6, 6, 6]
    biggest = max(after.shards, key=len)
    assert {after.utts[index][-1] for index in biggest.tolist()} == {"0", "1"}, "both old archives are in it"
    for name in ("text", "utt2spk", "spk2utt", "utt2num_frames", "fbank.conf"):
        assert (tmp_path / "out" / name).read_bytes() == (data / name).read_bytes()


def test_started_again_it_goes_on_and_then_rests(data, tmp_path, capsys):
    assert shard(data, tmp_path / "whole", "--utts-per-shard", 6) == 0
    out = tmp_path / "out"
    ark = data / "1.ark"
    original = ark.read_bytes()
    ark.write_bytes(original[:-10])
    assert shard(data, out, "--utts-per-shard", 6) == 1
    error = capsys.readouterr().err.strip()
    assert error.count("\n") == 0 and f"features of u009-1: {ark}:" in error
    assert not (out / "feats.scp").exists() and not list(out.rglob("*.tmp.*"))
    ark.write_bytes(original)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.ark")}
    assert shard(data, out, "--utts-per-shard", 6) == 0
    assert times == {path: path.stat().st_mtime_ns for path in times}
    same = {name: data.replace(b"/out/", b"/whole/") for name, data in contents(out).items() if "manifest" not in name}
    assert same == {name: data for name, data in contents(tmp_path / "whole").items() if "manifest" not in name}
    before = contents(out)
    assert shard(data, out, "--utts-per-shard", 6) == 0
    assert contents(out) == before


def test_what_kaldiio_alone_reads_is_written_as_floats(data, tmp_path):
    scp = read_table(data / "feats.scp")
    utt = next(iter(scp))
    path, _, offset = scp[utt].rpartition(":")
    scp[utt] = f"tail -c +{int(offset) + 1} {path} |"
    (data / "feats.scp").write_text("".join(f"{key} {value}\n" for key, value in scp.items()))
    assert shard(data, tmp_path / "out") == 0
    before, after = UtteranceSet(data, None), UtteranceSet(tmp_path / "out", None)
    np.testing.assert_array_equal(before.load(0), after.load(0))


def test_errors_in_one_line(data, tmp_path, capsys):
    def message(*arguments: object) -> str:
        assert shard(*arguments) != 0
        error = capsys.readouterr().err.strip()
        assert "\n" not in error
        return error

    assert "feats.scp is missing" in message(tmp_path, tmp_path / "out")
    assert "is the source itself" in message(data, data)
    assert "is a data directory already" in message(data, write_features(tmp_path / "other"))
    assert shard(data, tmp_path / "out", "--seed", 1) == 0
    capsys.readouterr()
    assert "other data, or with another size or seed" in message(data, tmp_path / "out", "--seed", 2)
    with pytest.raises(SystemExit):
        shard(data, tmp_path / "out", "--utts-per-shard", 0)
    assert "--utts-per-shard must be at least 1" in capsys.readouterr().err
    lines = (data / "feats.scp").read_text().splitlines()
    (data / "feats.scp").write_text("\n".join(lines[::-1]) + "\n")
    assert "comes after" in message(data, tmp_path / "sorted")
