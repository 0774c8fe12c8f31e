"""Commands in wav.scp and feats.scp run where they are allowed, and nowhere else."""

import pickle

import numpy as np
import pytest
import soundfile
from manifest_helpers import write_features

from omni_asr.audio.reader import Audio, AudioReader
from omni_asr.bin import (
    analyze_routing,
    combine,
    compute_cmvn,
    decode,
    errors,
    make_fbank,
    run_program,
    shard,
    subset,
    train,
    validate,
)
from omni_asr.data.dataset import UtteranceSet
from omni_asr.errors import UserError
from omni_asr.kaldi.ark import ArkWriter, read_ark, read_matrix
from omni_asr.kaldi.pipes import VARIABLE, run_pipe
from omni_asr.kaldi.rename import perturb_speed
from omni_asr.kaldi.tables import read_table, write_table
from omni_asr.text.tokenizer import CharTokenizer


@pytest.fixture(autouse=True)
def no_choice(monkeypatch):
    monkeypatch.setenv(VARIABLE, "")  # so that what a program sets is undone


@pytest.fixture
def marker(tmp_path):
    return tmp_path / "marker"


@pytest.fixture
def sound(tmp_path, marker):
    """A data directory whose second recording is a command that leaves a marker."""
    path = tmp_path / "x.wav"
    soundfile.write(path, np.sin(np.arange(8000) / 9) / 2, 16000)
    folder = tmp_path / "sound"
    folder.mkdir()
    write_table(folder / "wav.scp", {"a-1": str(path), "a-2": f"touch {marker}; cat {path} |"})
    write_table(folder / "utt2spk", {"a-1": "a", "a-2": "a"})
    write_table(folder / "spk2utt", {"a": "a-1 a-2"})
    write_table(folder / "text", {"a-1": "a", "a-2": "b"})
    return folder


@pytest.fixture
def features(tmp_path, marker):
    """A directory with features of which the second come from a command that leaves a marker."""
    folder = write_features(tmp_path / "features")
    scp = read_table(folder / "feats.scp")
    second = list(scp)[1]
    path, _, offset = scp[second].rpartition(":")
    scp[second] = f"touch {marker}; tail -c +{int(offset) + 1} {path} |"
    write_table(folder / "feats.scp", scp)
    write_table(folder / "utt2spk", {utt: utt for utt in scp})
    write_table(folder / "spk2utt", {utt: utt for utt in scp})
    return folder


def refusal(table, line):
    return f"{table}:{line}: "


@pytest.mark.parametrize("by_option", [True, False])
def test_programs_refuse_commands_that_give_audio(sound, marker, tmp_path, capfd, monkeypatch, by_option):
    if not by_option:
        monkeypatch.setenv(VARIABLE, "refuse")
    option = ["--pipes", "refuse"] if by_option else []
    segmented = tmp_path / "segmented"
    segmented.mkdir()
    for name, value in {"wav.scp": "x.wav", "utt2spk": "b", "text": "a", "segments": "b-1 0 1"}.items():
        write_table(segmented / name, {"b-1": value})
    for program, arguments in {
        make_fbank: [str(sound), str(tmp_path / "fbank")],
        combine: [str(tmp_path / "joined"), str(segmented), str(sound)],
        validate: [str(sound)],
    }.items():
        assert run_program(program.main, [*option, *arguments]) == 1
        err = capfd.readouterr().err
        assert f"error: {sound}/wav.scp:2: 'a-2' has a command" in err and err.count("\n") == 1
    assert not marker.exists() and not (tmp_path / "fbank.scp").exists()


def test_programs_refuse_commands_that_give_features(features, marker, tmp_path, capfd):
    line = 2
    for program, arguments in {
        compute_cmvn: [str(features), str(tmp_path / "cmvn.ark")],
        shard: [str(features), str(tmp_path / "shards")],
        validate: ["--no-wav", str(features)],
    }.items():
        assert run_program(program.main, ["--pipes", "refuse", *arguments]) == 1
        err = capfd.readouterr().err
        assert f"error: {features}/feats.scp:{line}: " in err and err.count("\n") == 1
    (features / "utt2num_frames").unlink()
    assert run_program(subset.main, ["--pipes=refuse", "--shortest", str(features), "2", str(tmp_path / "few")]) == 1
    assert f"{features}/feats.scp:{line}: " in capfd.readouterr().err
    assert not marker.exists()


def test_features_of_a_manifest_made_before_are_refused(features, marker, monkeypatch):
    units = CharTokenizer(["<blank>", "<unk>", "▁", "a", "b", "c"])
    allowed = UtteranceSet(features, units)
    allowed.load(1)
    assert marker.exists()
    marker.unlink()
    monkeypatch.setenv(VARIABLE, "refuse")
    with pytest.raises(UserError, match=r"feats\.scp:2: "):
        UtteranceSet(features, units)
    with pytest.raises(UserError, match="commands are refused"):
        allowed.load(1)
    assert not marker.exists()


def test_every_program_that_reads_audio_or_features_has_the_option(capsys):
    for program in (analyze_routing, combine, compute_cmvn, decode, errors, make_fbank, shard, subset, train, validate):
        with pytest.raises(SystemExit):
            program.main(["--help"])
        assert "--pipes {allow,refuse}" in capsys.readouterr().out


def test_commands_run_by_default_and_where_they_are_allowed_again(sound, marker, monkeypatch):
    assert all(isinstance(audio, Audio) for audio in AudioReader(sound)) and marker.exists()
    marker.unlink()
    monkeypatch.setenv(VARIABLE, "allow")
    assert all(isinstance(audio, Audio) for audio in AudioReader(sound)) and marker.exists()


def test_speed_stages_are_no_commands(sound, tmp_path, marker, monkeypatch):
    write_table(sound / "wav.scp", {utt: str(tmp_path / "x.wav") for utt in ("a-1", "a-2")})
    perturb_speed(sound, tmp_path / "fast", [0.9, 1.1])
    monkeypatch.setenv(VARIABLE, "refuse")
    assert sum(isinstance(audio, Audio) for audio in AudioReader(tmp_path / "fast")) == 4


def test_a_misspelt_choice_is_no_permission(sound, marker, monkeypatch):
    monkeypatch.setenv(VARIABLE, "refused")
    with pytest.raises(UserError, match="OMNI_ASR_PIPES is 'refused', but must be one of allow, refuse"):
        AudioReader(sound)
    with pytest.raises(UserError, match="OMNI_ASR_PIPES"):
        run_pipe(f"touch {marker} |")
    assert not marker.exists()


class Payload:
    """Runs a command when it is unpickled."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        import os

        return os.system, (self.command,)


def test_pickled_objects_in_archives_are_never_read(tmp_path, marker):
    pickled = b"PKL" + pickle.dumps(Payload(f"touch {marker}"))
    (tmp_path / "x.ark").write_bytes(b"global " + pickled)
    with pytest.raises(UserError, match="holds a pickled object"):
        read_matrix(f"{tmp_path}/x.ark:7")
    with pytest.raises(UserError, match="global of .*x.ark holds a pickled object"):
        list(read_ark(tmp_path / "x.ark"))
    assert not marker.exists()


def test_archives_are_read_as_before(tmp_path):
    with ArkWriter(tmp_path / "y.ark", None, None) as write:
        write("a", np.eye(3))
        write("b", np.ones((2, 4)))
    assert {key: matrix.tolist() for key, matrix in read_ark(tmp_path / "y.ark")} == {
        "a": np.eye(3).tolist(),
        "b": np.ones((2, 4)).tolist(),
    }
