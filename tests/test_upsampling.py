"""Audio of a lower rate than the features is refused, or allowed and counted once for the set."""

import numpy as np
import pytest
import soundfile
from kaldi_helpers import write_dir

from omni_asr.audio.fbank_conf import may_upsample
from omni_asr.audio.reader import AudioReader
from omni_asr.bin import collect_feats, make_fbank, run_program, split
from omni_asr.errors import UserError


@pytest.fixture
def data(tmp_path):
    """Six utterances: three of 8 kHz, one of them through a pipe, one of 48 kHz, two of 16 kHz, one of those fast."""
    wav = []
    for number, rate in enumerate((16000, 8000, 8000, 48000, 16000, 8000)):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, np.random.default_rng(number).normal(0, 0.1, rate), rate)
        wav.append(f"s{number} {path}")
    wav[4] = f"s4 sox {tmp_path}/4.wav -t wav - speed 0.9 |"
    wav[5] = f"s5 cat {tmp_path}/5.wav |"
    spk = "\n".join(f"s{number} s{number}" for number in range(6))
    return write_dir(tmp_path / "data", wav_scp="\n".join(wav), utt2spk=spk, text=spk, spk2utt=spk)


def run(program, *arguments):
    return run_program(program.main, [str(argument) for argument in arguments])


def test_a_lower_rate_is_refused_in_one_line_with_the_count(data, tmp_path, capsys):
    assert run(make_fbank, data, tmp_path / "x.1") == 1
    error = capsys.readouterr().err
    assert "audio of at least 2 of 6 utterances has a lower rate than 16000 Hz, the first is s1 of 8000 Hz" in error
    assert "--allow_upsample true" in error and error.count("error:") == 1
    assert not (tmp_path / "x.1.scp").exists() and not (tmp_path / "x.1.ark").exists()


def test_what_is_allowed_is_counted_once_for_the_set(data, tmp_path, capsys):
    assert run(split, data, 2) == 0
    for job in (1, 2):
        assert run(make_fbank, "--allow-upsample", data / f"split2/{job}", tmp_path / f"x.{job}") == 0
    capsys.readouterr()
    assert run(collect_feats, data, 2, tmp_path / "x") == 0
    out = capsys.readouterr().out
    assert f"{data}: audio of 3 of 6 utterances was upsampled from 8000 to 16000 Hz\n" in out
    assert f"{data}: audio of 1 of 6 utterances was brought down from 48000 to 16000 Hz\n" in out
    assert out.count("\n") == 3, "the change of speed is none of rate"


@pytest.mark.parametrize(
    ("line", "allowed"),
    [("", False), ("--allow-upsample", True), ("--allow_upsample=true", True), ("--allow-upsample=false", False)],
)
def test_kaldis_option_in_the_conf(data, tmp_path, line, allowed):
    conf = tmp_path / "fbank.conf"
    conf.write_text(f"--num-mel-bins=24\n{line}\n")
    assert may_upsample(conf) == allowed
    assert run(make_fbank, "--conf", conf, data, tmp_path / "x.1") == (0 if allowed else 1)


def test_kaldis_option_is_true_or_false(data, tmp_path, capsys):
    (tmp_path / "fbank.conf").write_text("--allow-upsample=maybe\n")
    assert run(make_fbank, "--conf", tmp_path / "fbank.conf", data, tmp_path / "x.1") == 1
    assert "fbank.conf:1: --allow-upsample must be true or false, not 'maybe'" in capsys.readouterr().err


def test_features_of_the_audio_s_own_rate_need_no_permission(data, tmp_path):
    (tmp_path / "fbank.conf").write_text("--sample-frequency=8000\n")
    assert run(make_fbank, "--conf", tmp_path / "fbank.conf", data, tmp_path / "x.1") == 0


def test_segments_are_counted_as_utterances(data):
    lines = "a s1 0 0.5\nb s1 0.5 1\nc s2 0 1\nd s0 0 1"
    write_dir(data, segments=lines, utt2spk="a a\nb b\nc c\nd d")
    with pytest.raises(UserError, match="audio of 3 of 4 utterances"):
        list(AudioReader(data))


def test_a_refusal_reads_headers_only(tmp_path, monkeypatch):
    for name in "abc":
        soundfile.write(tmp_path / f"{name}.flac", np.zeros(8000), 8000)
    names = "\n".join(f"{name} {name}" for name in "abc")
    wav = "\n".join(f"{name} {tmp_path}/{name}.flac" for name in "abc")
    folder = write_dir(tmp_path / "d", wav_scp=wav, utt2spk=names, spk2utt=names)
    searched = []
    monkeypatch.setattr("omni_asr.audio.source.streams", lambda content: searched.append(content) or [])
    with pytest.raises(UserError, match="audio of 3 of 3 utterances"):
        list(AudioReader(folder))
    assert len(searched) == 1
