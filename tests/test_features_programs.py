from pathlib import Path

import kaldiio
import numpy as np
import pytest
import soundfile
from kaldi_helpers import read, small_dir, write_dir

from omni_asr.bin import collect_feats, compute_cmvn, make_fbank, run_program, split
from omni_asr.errors import UserError
from omni_asr.kaldi.ark import num_frames, read_matrix
from omni_asr.kaldi.features import collect_features
from omni_asr.kaldi.tables import read_table
from omni_asr.kaldi.validate import validate


def run(program, *arguments):
    return run_program(program.main, [str(argument) for argument in arguments])


@pytest.fixture
def data(tmp_path):
    """Twenty-one utterances, one of them broken, of seven speakers."""
    rng = np.random.default_rng(1)
    wav, utt2spk, text = [], [], []
    for number in range(21):
        key = f"s{number // 3}-{number:02}"
        samples = rng.normal(0, 0.1, 8000 + 800 * number)
        soundfile.write(tmp_path / f"{key}.flac", samples, 16000)
        wav.append(f"{key} {tmp_path}/{key}.flac")
        utt2spk.append(f"{key} s{number // 3}")
        text.append(f"{key} WORD")
    (tmp_path / "s3-10.flac").write_bytes(b"")
    folder = write_dir(tmp_path / "data", wav_scp="\n".join(wav), utt2spk="\n".join(utt2spk), text="\n".join(text))
    return folder


def make(data, jobs, *options):
    assert run(split, data, jobs) == 0
    for job in range(1, jobs + 1):
        assert run(make_fbank, *options, data / f"split{jobs}" / str(job), f"{data.parent}/fbank/x.{job}") == 0
    return f"{data.parent}/fbank/x"


def test_from_audio_to_features_and_statistics(data, capsys):
    prefix = make(data, 3)
    assert read(data.parent / "fbank", "x.2.failed") == ["s3-10 the file is empty (0 bytes)"]
    assert run(collect_feats, data, 3, prefix) == 0
    assert "features of 20 utterances kept, 1 removed" in capsys.readouterr().out
    assert read(data, "removed_utts") == ["s3-10 the file is empty (0 bytes)"]
    scp, frames = read_table(data / "feats.scp"), read_table(data / "utt2num_frames")
    assert list(scp) == list(frames) and len(scp) == 20
    assert all(num_frames(scp[key]) == int(frames[key]) for key in scp)
    assert int(frames["s0-00"]) == 1 + (8000 - 400) // 160
    assert "--num-mel-bins=80" in read(data, "fbank.conf")
    (data / "spk2utt").write_bytes(b"".join((data / f"split3/{part}/spk2utt").read_bytes() for part in (1, 2, 3)))
    assert validate(data)["utt"] == 21

    assert run(compute_cmvn, data, data / "cmvn.ark") == 0
    stats = dict(kaldiio.load_ark(str(data / "cmvn.ark")))["global"]
    everything = np.concatenate([read_matrix(value) for value in scp.values()]).astype(np.float64)
    assert stats.shape == (2, 81) and stats.dtype == np.float64
    np.testing.assert_allclose(stats[0, :80] / stats[0, 80], everything.mean(0))
    np.testing.assert_allclose(stats[1, :80], np.square(everything).sum(0))
    assert stats[0, 80] == len(everything) and stats[1, 80] == 0


def test_options_come_from_the_conf(data, tmp_path):
    (tmp_path / "fbank.conf").write_text("--num-mel-bins=24\n--sample-frequency=8000\n")
    prefix = make(data, 1, "--conf", tmp_path / "fbank.conf", "--no-compress")
    assert run(collect_feats, data, 1, prefix) == 0
    assert read_matrix(read_table(data / "feats.scp")["s0-00"]).shape == (1 + (4000 - 200) // 80, 24)
    assert "--sample-frequency=8000" in read(data, "fbank.conf")


def test_too_many_removed_is_an_error_that_names_one(data, capsys):
    prefix = make(data, 1)
    (data.parent / "s0-00.flac").unlink()
    prefix = make(data, 1)
    assert run(collect_feats, data, 1, prefix) == 1
    error = capsys.readouterr().err
    assert "2 of 21 utterances" in error and "s0-00: No such file or directory" in error
    assert not (data / "feats.scp").exists()
    assert len(read(data, "removed_utts")) == 2
    assert run(collect_feats, "--max-removed=0.1", data, 1, prefix) == 0
    assert len(read(data, "feats.scp")) == 19


def test_a_missing_job_is_named(data, capsys):
    prefix = make(data, 2)
    (data.parent / "fbank/x.2.scp").unlink()
    assert run(collect_feats, data, 2, prefix) == 1
    assert "x.2.scp does not exist; run make-fbank for job 2 of 2 again" in capsys.readouterr().err


def test_an_utterance_that_no_job_saw_is_listed(data):
    prefix = make(data, 2)
    with open(data / "utt2spk", "a") as file:
        file.write("s7-99 s7\n")
    assert run(collect_feats, "--max-removed=0.1", data, 2, prefix) == 0
    assert "s7-99 no job wrote features or a reason for it" in read(data, "removed_utts")


def test_jobs_of_other_options_or_of_another_split_do_not_mix(data, tmp_path, capsys):
    prefix = make(data, 2)
    (data.parent / "fbank/x.2.conf").write_text("--num-mel-bins=40\n")
    assert run(collect_feats, data, 2, prefix) == 1
    assert "x.2.conf differs" in capsys.readouterr().err
    prefix = make(data, 2)
    make(data, 1)
    assert run(collect_feats, data, 2, prefix) == 1
    assert "is in an earlier job too" in capsys.readouterr().err


def test_one_recording_without_a_header_does_not_end_the_job(data):
    (data.parent / "s0-00.flac").rename(data.parent / "s0-00.raw")
    (data / "wav.scp").write_text((data / "wav.scp").read_text().replace("s0-00.flac", "s0-00.raw"))
    make(data, 1)
    failed = read_table(data.parent / "fbank/x.1.failed")
    assert list(failed) == ["s0-00", "s3-10"] and ".raw file has no header" in failed["s0-00"]
    assert len(read(data.parent / "fbank", "x.1.scp")) == 19


def test_a_relative_prefix_gives_absolute_paths(data, monkeypatch):
    monkeypatch.chdir(data.parent)
    assert run(make_fbank, data, "fbank/x.1") == 0
    assert read_table("fbank/x.1.scp")["s0-00"].startswith(f"{data.parent}/fbank/x.1.ark:")


def test_audio_shorter_than_a_frame_is_named(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(200), 16000)
    folder = write_dir(tmp_path / "data", wav_scp=f"a {tmp_path}/a.wav", utt2spk="a a")
    assert run(make_fbank, folder, tmp_path / "x.1") == 0
    assert read(tmp_path, "x.1.failed") == ["a 200 samples at 16000 Hz are shorter than one frame"]


def test_statistics_without_features_are_refused(data, capsys):
    assert run(compute_cmvn, data, data / "cmvn.ark") == 1
    assert "feats.scp does not exist" in capsys.readouterr().err


def test_two_jobs_with_one_utterance_and_unknown_ones_are_named(tmp_path):
    folder = small_dir(tmp_path / "d")
    prefix = tmp_path / "f"
    for job, lines in ((1, "b-1 x:1\na-1 x:2\n"), (2, "a-1 x:3\n")):
        for suffix, content in (("scp", lines), ("utt2num_frames", ""), ("failed", ""), ("conf", "--a=1\n")):
            Path(f"{prefix}.{job}.{suffix}").write_text(content)
    with pytest.raises(UserError, match=r"f\.2\.scp: 'a-1' is in an earlier job too"):
        collect_features(folder, 2, str(prefix))
    Path(f"{prefix}.2.scp").write_text("z-1 x:3\n")
    with pytest.raises(UserError, match=r"utterance 'z-1' is not in"):
        collect_features(folder, 2, str(prefix))
    Path(f"{prefix}.2.scp").write_text("")
    Path(f"{prefix}.2.failed").write_text("a-2 it is\ttruncated\n")
    for job, lines in ((1, "b-1 5\na-1 6\n"), (2, "")):
        Path(f"{prefix}.{job}.utt2num_frames").write_text(lines)
    assert collect_features(folder, 2, str(prefix), 0.5) == (2, {"a-2": "it is\ttruncated"})
    assert (folder / "feats.scp").read_text() == "a-1 x:2\nb-1 x:1\n"
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith(".")) == []
