"""Of a file with two channels, wav.scp named the path alone: Kaldi and lhotse read the first channel for both sides.

A line of ``wav.scp`` now selects its channel, for every reader; here without sox and without a process.
"""

import io
import os
import shutil
import subprocess

import numpy as np
import pytest
import soundfile
from corpora import callhome, chime6, switchboard
from corpora.audio import convert, tone, write_sphere
from corpora.programs import run_local

from omni_asr.audio.source import AudioError, Recording
from omni_asr.kaldi.speed import add_channel, add_speed, split_stages
from omni_asr.kaldi.tables import read_table

needs_sox = pytest.mark.skipif(not shutil.which("sox"), reason="sox is not installed")
FORMATS = [
    (".wav", "PCM_16"),
    (".wav", "PCM_24"),
    (".wav", "PCM_U8"),
    (".wav", "PCM_32"),
    (".wav", "ULAW"),
    (".wav", "ALAW"),
    (".flac", "PCM_16"),
    (".flac", "PCM_24"),
]


def samples_of(value):
    recording = Recording(value)
    try:
        assert recording.channels == 1
        return recording.read(0, recording.frames)
    finally:
        recording.close()


def run(value):
    """Samples of the output of a command, as other toolkits run it."""
    output = subprocess.run(value.removesuffix("|"), shell=True, capture_output=True, check=True).stdout
    samples, _ = soundfile.read(io.BytesIO(output), dtype="float32", always_2d=True)
    assert samples.shape[1] == 1
    return samples[:, 0] * 32768


@needs_sox
@pytest.mark.parametrize(("suffix", "subtype"), FORMATS)
@pytest.mark.parametrize("channel", [0, 1])
def test_the_samples_are_those_of_sox(tmp_path, suffix, subtype, channel):
    path = tmp_path / f"it's a call{suffix}"
    soundfile.write(path, tone(0.5, 8000, 2), 8000, subtype=subtype)
    value = add_channel(str(path), channel)
    assert np.array_equal(samples_of(value), run(value))


@needs_sox
@pytest.mark.parametrize("coding", ["pcm", "ulaw"])
def test_sox_reads_uncompressed_sphere_alike(tmp_path, coding):
    write_sphere(tmp_path / "call.sph", 0.5, 8000, 2, coding)
    for channel in (0, 1):
        value = add_channel(str(tmp_path / "call.sph"), channel)
        assert np.array_equal(samples_of(value), run(value))


def test_no_program_is_needed(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", os.devnull)
    soundfile.write(tmp_path / "a.wav", tone(0.5, 8000, 2), 8000)
    sides, _ = soundfile.read(tmp_path / "a.wav", dtype="float32")
    for channel in (0, 1):
        value = add_channel(str(tmp_path / "a.wav"), channel)
        assert np.array_equal(samples_of(value), sides[:, channel] * 32768)
        recording = Recording(add_speed(value, 0.9))
        assert recording.speed == 0.9 and np.array_equal(recording.read(0, 4000), sides[:, channel] * 32768)
        recording.close()
    recording = Recording(add_channel(str(tmp_path / "a.wav"), 2))
    with pytest.raises(AudioError, match="channel 2 asked for, but there are 2"):
        recording.read(0, 10)
    recording.close()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("sox a.wav -t wav - remix 2 |", ("a.wav", 1.0, 1)),
        ("sox '/a b/it'\"'\"'s.flac' -t wav - remix 1|", ("/a b/it's.flac", 1.0, 0)),
        ("sox a.SPH -t wav - remix 2 | sox -t wav - -t wav - speed 1.1 |", ("a.SPH", 1.1, 1)),
        ("a.wav", ("a.wav", 1.0, None)),
        ("a.ark:17", ("a.ark:17", 1.0, None)),
    ],
)
def test_lines_that_are_recognised(value, expected):
    assert split_stages(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "sox a.wav -t wav - remix 1,2 |",
        "sox a.wav -t wav - remix 0 |",
        "sox a.wav -t wav - remix - |",
        "sox a.wav -t wav - remix 1 gain -3 |",
        "sox $HOME/a.wav -t wav - remix 1 |",
        "sox a.wav b.wav -t wav - remix 1 |",
        "sox a.vox -t wav - remix 1 |",
        "cat a.wav | sox -t wav - -t wav - remix 1 |",
    ],
)
def test_other_lines_are_run(value):
    assert split_stages(value) == (value, 1.0, None)


def prepared(recipe, folders, out, *options):
    command = [f"--corpus-dir={folder}" for folder in folders]
    done = run_local(recipe, "prepare.py", *command, f"--data-dir={out}", "--max-removed=0.9", *options)
    assert done.returncode == 0, done.stderr
    return done.stderr


def converted(make, folder):
    """A corpus whose calls are two-channel WAV files."""
    folders = make(folder)
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() == ".sph":
            try:
                convert(path, ".wav")
            except (AudioError, ValueError):  # the faults of the copy
                path.unlink()
    return folders


RECIPES = {
    "switchboard": ("train_nodup", "sw02901-A", "sw02901-B", ("--dev-utterances=2", "--max-same=2")),
    "callhome": ("train", "en_4801-A", "en_4801-B", ()),
    "chime6": ("train", "P09_S03.L", "P09_S03.R", ()),
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_both_sides_are_in_wav_scp(tmp_path, recipe):
    name, left, right, options = RECIPES[recipe]
    if recipe == "chime6":
        folders = chime6.make(tmp_path / "corpus")
    else:
        folders = converted({"switchboard": switchboard, "callhome": callhome}[recipe].make, tmp_path / "corpus")
    log = prepared(recipe, folders, tmp_path / "data", f"--sets={name}", *options)
    assert "reco2file_and_channel" not in log
    values = read_table(tmp_path / "data" / name / "wav.scp")
    assert values[left].endswith(".wav -t wav - remix 1 |") and values[right].endswith(".wav -t wav - remix 2 |")
    path, _, _ = split_stages(values[left])
    sides, _ = soundfile.read(path, dtype="float32")
    for channel, value in enumerate((values[left], values[right])):
        assert np.array_equal(samples_of(value), sides[:, channel] * 32768)
        if shutil.which("sox"):
            assert np.array_equal(run(value), sides[:, channel] * 32768)
    log = prepared(recipe, folders, tmp_path / "plain", f"--sets={name}", "--plain_paths=true", *options)
    plain = read_table(tmp_path / "plain" / name / "wav.scp")
    assert plain[left] == plain[right] == path
    assert f"{name}: wav.scp names {len(plain)} recordings, each one channel of a file, by plain paths" in log
    assert "Kaldi and lhotse read the first for all of them" in log
    for table in ("segments", "text", "reco2file_and_channel"):
        assert read_table(tmp_path / "plain" / name / table) == read_table(tmp_path / "data" / name / table)
