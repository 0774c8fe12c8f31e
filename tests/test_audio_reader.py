import logging
import shutil
import subprocess

import numpy as np
import pytest
import soundfile
from kaldi_helpers import write_dir

from omni_asr.audio.reader import Audio, AudioReader, Failure
from omni_asr.audio.resample import resample


def sine(seconds, rate=16000, hertz=440):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def peak(samples, rate=16000):
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return spectrum.argmax() * rate / len(samples)


def results(folder, **options):
    return {
        item.utterance: item.reason if isinstance(item, Failure) else item.samples
        for item in AudioReader(folder, allow_upsample=True, **options)
    }


@pytest.fixture
def wavs(tmp_path):
    soundfile.write(tmp_path / "long.flac", sine(3), 16000)
    soundfile.write(tmp_path / "phone.wav", sine(2, 8000), 8000, subtype="ULAW")
    soundfile.write(tmp_path / "stereo.wav", np.stack([sine(1), sine(1, hertz=880)], 1), 16000)
    return tmp_path


def test_whole_files_and_resampling(wavs):
    folder = write_dir(wavs / "d", wav_scp=f"a {wavs}/long.flac\nb {wavs}/phone.wav", utt2spk="a a\nb b")
    read = results(folder)
    assert {key: len(value) for key, value in read.items()} == {"a": 48000, "b": 32000}
    assert all(abs(peak(samples) - 440) < 1 for samples in read.values())
    assert len(results(folder, rate=8000)["a"]) == 24000


def test_segments(wavs):
    folder = write_dir(
        wavs / "d",
        wav_scp=f"r1 {wavs}/long.flac\nr2 cat {wavs}/long.flac |",
        segments="""
            u1 r1 0.5 1.25
            u2 r2 0.5 1.25
            u3 r1 2 3.4
            u4 r1 2 3.6
            u5 r1 3 3.2
            u6 r1 1 1
            u7 r9 0 1
            u8 r1 0 0.00001""",
        utt2spk="\n".join(f"u{number} s" for number in range(1, 10)),
    )
    read = results(folder)
    np.testing.assert_array_equal(read["u1"], read["u2"])
    np.testing.assert_array_equal(read["u1"], AudioReader(write_dir(
        wavs / "e", wav_scp=f"a {wavs}/long.flac")).read("a").samples[8000:20000])  # fmt: skip
    assert len(read["u3"]) == 16000
    assert read["u4"] == "the segment from 2 to 3.6 s ends after the audio does, at 3.000 s"
    assert read["u5"] == "the segment from 3 to 3.2 s ends after the audio does, at 3.000 s"
    assert read["u6"] == "the segment from 1 to 1 s has no length"
    assert read["u7"] == "recording r9 has no line in wav.scp"
    assert read["u8"] == "the segment from 0 to 1e-05 s holds no sample"
    assert read["u9"] == "the utterance has no line in segments"
    assert len(read) == 9


def test_an_end_of_minus_one_is_the_end_of_the_recording(wavs):
    folder = write_dir(wavs / "d", wav_scp=f"r1 {wavs}/long.flac", segments="u1 r1 1 -1\nu2 r1 1 3\nu3 r1 3 -1")
    read = results(folder)
    np.testing.assert_array_equal(read["u1"], read["u2"])
    assert "ends after the audio does" in read["u3"]


def test_a_pipe_runs_once_for_its_segments(wavs):
    count = wavs / "count"
    folder = write_dir(
        wavs / "d",
        wav_scp=f"r1 echo run >> {count}; cat {wavs}/long.flac |\nr2 echo run >> {count}; false |",
        segments="u1 r1 0 1\nu2 r2 0 1\nu3 r1 1 2\nu4 r2 1 2",
        utt2spk="u1 s\nu2 s\nu3 s\nu4 s",
    )
    read = results(folder)
    assert read["u2"] == read["u4"] == "the pipe fails with status 1"
    assert len(read["u1"]) == len(read["u3"]) == 16000
    assert count.read_text().split() == ["run", "run"]


def test_channels(wavs, caplog):
    folder = write_dir(wavs / "d", wav_scp=f"a {wavs}/stereo.wav\nb {wavs}/phone.wav", utt2spk="a a\nb b")
    with caplog.at_level(logging.INFO):
        assert abs(peak(results(folder)["a"]) - 440) < 2
    assert "several channels and no choice of one: the first was taken (1 utterances)" in caplog.text
    assert abs(peak(results(folder, channel=1)["a"]) - 880) < 2
    write_dir(folder, reco2file_and_channel="a a B\nb b B")
    read = results(folder)
    assert abs(peak(read["a"]) - 880) < 2
    assert len(read["b"]) == 32000
    assert results(folder, channel=2)["a"] == "channel 2 asked for, but there are 2"


def test_overshoot_is_clipped_and_counted(wavs):
    folder = write_dir(wavs / "d", wav_scp=f"r {wavs}/long.flac", segments="u1 r 2.5 3.02", utt2spk="u1 u")
    reader = AudioReader(folder)
    assert [len(item.samples) for item in reader if isinstance(item, Audio)] == [8000]
    assert sum(reader.notes.values()) == 1


def test_audio_that_was_cut_is_told_by_utt2dur(wavs):
    names = [f"{name} {wavs}/long.flac" for name in "abcdf"]
    spk = "a a\nb b\nc c\nd d\ne e\nf f"
    names.append(f"e sox -t flac {wavs}/long.flac -t wav - speed 0.9 |")
    folder = write_dir(wavs / "d", wav_scp="\n".join(names), utt2spk=spk)
    (folder / "utt2dur").write_text("a 3.000\nb 3.280\nc 3.600\nd long\ne 3.333\nf nan\n")
    read = results(folder)
    assert {name: len(read[name]) for name in "abe"} == {"a": 48000, "b": 48000, "e": 53334}
    assert read["c"] == "the audio ends at 3.000 s, but utt2dur has 3.6 s: it was cut"
    assert read["d"] == "utt2dur has 'long'; expected seconds"
    assert read["f"] == "utt2dur has 'nan'; expected seconds"


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_speed_changes_duration_and_pitch(wavs, factor):
    lines = f"a sox {wavs}/long.flac -t wav - speed {factor} |\nb sox {wavs}/phone.wav -t wav - speed {factor} |"
    folder = write_dir(wavs / "d", wav_scp=lines, utt2spk="a a\nb b")
    for key, seconds in (("a", 3), ("b", 2)):
        samples = results(folder)[key]
        assert abs(len(samples) - seconds * 16000 / factor) <= 1
        assert abs(peak(samples) - 440 * factor) < 1


def test_segments_count_in_perturbed_time(wavs):
    two = np.concatenate([sine(1), sine(1, hertz=880)])
    soundfile.write(wavs / "two.wav", two, 16000)
    folder = write_dir(
        wavs / "d",
        wav_scp=f"sp0.9-r cat {wavs}/two.wav | sox -t wav - -t wav - speed 0.9 |",
        segments="sp0.9-u1 sp0.9-r 0 1.111111\nsp0.9-u2 sp0.9-r 1.111111 2.222222",
        utt2spk="sp0.9-u1 s\nsp0.9-u2 s",
    )
    read = results(folder)
    assert abs(peak(read["sp0.9-u1"]) - 396) < 2 and abs(peak(read["sp0.9-u2"]) - 792) < 2
    assert all(abs(len(samples) - 17778) <= 1 for samples in read.values())


def test_speed_agrees_with_sox(wavs):
    if not shutil.which("sox"):
        pytest.skip("sox is not installed")
    rng = np.random.default_rng(1)
    smooth = np.convolve(rng.normal(0, 0.1, 32000), np.hanning(9) / 4, "same").astype(np.float32)
    soundfile.write(wavs / "n.wav", smooth, 16000)
    by_sox = wavs / "sox.wav"
    subprocess.run(["sox", str(wavs / "n.wav"), str(by_sox), "speed", "0.9"], check=True)
    expected = 32768 * soundfile.read(by_sox, dtype="float32")[0]
    folder = write_dir(wavs / "d", wav_scp=f"a sox {wavs}/n.wav -t wav - speed 0.9 |", utt2spk="a a")
    samples = results(folder)["a"]
    assert abs(len(samples) - len(expected)) <= 1
    shared = slice(200, len(expected) - 200)
    assert np.corrcoef(samples[shared], expected[shared])[0, 1] > 0.998


def test_resampling_of_odd_rates_stays_small_and_close():
    samples = sine(2, 22050)
    assert abs(len(resample(samples, 22050, 16000, 0.9)) - 2 * 16000 / 0.9) <= 2
    assert abs(len(resample(sine(2, 15999), 15999, 16000)) - 32000) <= 4
    assert resample(samples, 16000, 16000) is samples
    assert abs(peak(resample(samples, 22050, 16000)) - 440) < 1
