"""Data preparation of egs/fsdd, on a generated corpus in the dataset's layout and on the real one where it is there."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from omni_asr.kaldi.tables import read_table
from omni_asr.kaldi.validate import validate

SPEAKERS = ("anna", "bert")
INDICES = range(12)
FEW = ("--train-strings", "12", "--dev-strings", "10", "--test-strings", "41")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every digit is a tone of its own, every recording has a length of its own."""
    recordings = tmp_path_factory.mktemp("corpus") / "recordings"
    recordings.mkdir()
    for number, speaker in enumerate(SPEAKERS):
        for digit in range(10):
            for index in INDICES:
                time = np.arange(800 + 80 * index + 40 * number) / 8000
                tone = 0.3 * np.sin(2 * np.pi * (300 + 200 * digit) * time)
                soundfile.write(recordings / f"{digit}_{speaker}_{index}.wav", tone, 8000, subtype="PCM_16")
    return recordings.parent


def prepare(root: Path, corpus: Path, folder: Path, *options: str) -> subprocess.CompletedProcess:
    script = root / "egs" / "fsdd" / "local" / "prepare.py"
    arguments = ["--corpus-dir", str(corpus), "--data-dir", str(folder), "--audio-dir", str(folder / "audio"), *options]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, str(script), *arguments], env=environment, capture_output=True, text=True, check=False
    )


def used(data: Path) -> set[str]:
    return {name for value in read_table(data / "utt2recordings").values() for name in value.split()}


@pytest.fixture(scope="module")
def prepared(root: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    done = prepare(root, corpus, folder, *FEW)
    assert done.returncode == 0, done.stderr
    assert "found 240 recordings of 2 speakers (official: 3000 recordings of 6 speakers)" in done.stderr
    return folder


def test_data_directories_are_valid(prepared: Path) -> None:
    for part, count in (("train", 12), ("dev", 10), ("test", 41)):
        counts = validate(str(prepared / part), False, True, True)
        assert (counts["utt"], counts["spk"]) == (count, 2)


def test_official_split_by_index(prepared: Path) -> None:
    indices = {part: {int(name.split("_")[2]) for name in used(prepared / part)} for part in ("train", "dev", "test")}
    assert indices["test"] == set(range(5))
    assert indices["dev"] == set(range(5, 10))
    assert indices["train"] == {10, 11}


def test_every_test_recording_is_used(prepared: Path) -> None:
    assert len(used(prepared / "test")) == 100


def test_text_is_what_was_joined(prepared: Path) -> None:
    words = "zero one two three four five six seven eight nine".split()
    text, recordings = (read_table(prepared / "train" / name) for name in ("text", "utt2recordings"))
    for utterance, value in recordings.items():
        names = [name.split("_") for name in value.split()]
        assert text[utterance] == " ".join(words[int(name[0])] for name in names)
        assert {name[1] for name in names} == {utterance.split("-")[0]}
        assert 3 <= len(names) <= 7


def test_audio_holds_the_digits_and_no_digital_silence(prepared: Path, corpus: Path) -> None:
    for utterance, path in read_table(prepared / "test" / "wav.scp").items():
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype) == (8000, 1, "PCM_16")
        samples, _ = soundfile.read(path)
        names = read_table(prepared / "test" / "utt2recordings")[utterance].split()
        speech = sum(soundfile.info(corpus / "recordings" / f"{name}.wav").frames for name in names)
        pauses = len(samples) / 8000 - speech / 8000
        assert 0.05 * (len(names) + 1) - 0.01 <= pauses <= 0.2 * len(names) + 0.16
        windows = samples[: len(samples) // 160 * 160].reshape(-1, 160)
        assert (windows.std(axis=1) > 1e-4).all()


def test_same_seed_same_bytes(root: Path, corpus: Path, prepared: Path, tmp_path: Path) -> None:
    assert prepare(root, corpus, tmp_path, *FEW).returncode == 0
    for path in sorted((prepared / "audio" / "official").rglob("*.wav")):
        assert path.read_bytes() == (tmp_path / path.relative_to(prepared)).read_bytes()
    assert (tmp_path / "train" / "text").read_bytes() == (prepared / "train" / "text").read_bytes()
    assert prepare(root, corpus, tmp_path, *FEW, "--seed", "2").returncode == 0
    assert (tmp_path / "train" / "text").read_bytes() != (prepared / "train" / "text").read_bytes()


def test_held_out_speaker(root: Path, corpus: Path, tmp_path: Path) -> None:
    assert prepare(root, corpus, tmp_path, *FEW, "--split", "speaker", "--held_out", "bert").returncode == 0
    folders = {part: tmp_path / f"{part}_without_bert" for part in ("train", "dev", "test")}
    speakers = {part: set(read_table(folder / "utt2spk").values()) for part, folder in folders.items()}
    assert speakers == {"train": {"anna"}, "dev": {"anna"}, "test": {"bert"}}
    assert len(used(folders["test"])) == 120
    assert not used(folders["train"]) & used(folders["dev"])
    assert not (tmp_path / "test").exists(), "the sets of the official split stay as they are"


@pytest.mark.parametrize("options", [[], ["--split", "speaker", "--held_out", "bert"]])
def test_call_of_the_recipe_makes_the_sets_that_it_expects(
    root: Path, corpus: Path, tmp_path: Path, options: list[str]
) -> None:
    command = [str(root / "egs" / "fsdd" / "run.sh"), "--dry_run", "true", *options]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    calls = [shlex.split(line) for line in lines]
    handed = next(words[1:] for words in calls if words[0] == "local/data.sh")
    handed = [word for word in handed if not word.startswith(("--data_dir=", "--corpus_dir="))]
    done = prepare(root, corpus, tmp_path, *FEW, *handed)
    assert done.returncode == 0, done.stderr
    moved = [words[1:] for words in calls if words[0] == "mv" and words[1].startswith("data/.new/")]
    assert len(moved) == 3
    for new, final in moved:
        assert (tmp_path / Path(new).name / "utt2spk").is_file()
        assert final == f"data/{Path(new).name}"


def test_odd_files_are_named_and_left_out(root: Path, corpus: Path, tmp_path: Path) -> None:
    odd = tmp_path / "corpus" / "recordings"
    odd.mkdir(parents=True)
    for path in (corpus / "recordings").iterdir():
        os.link(path, odd / path.name)
    (odd / "3_anna_12.wav").touch()
    (odd / "4_anna_12.wav").write_bytes(b"RIFF")
    (odd / "notes.txt").touch()
    soundfile.write(odd / "5_anna_12.wav", np.zeros((800, 2)), 44100)
    soundfile.write(odd / "6_anna_12.wav", np.zeros(0), 8000)
    done = prepare(root, odd.parent, tmp_path, *FEW)
    assert done.returncode == 0, done.stderr
    ignored = read_table(tmp_path / "audio" / "official.ignored")
    assert ignored == {
        "3_anna_12.wav": "cannot be read: the file is empty (0 bytes)",
        "4_anna_12.wav": "cannot be read: not audio that libsndfile reads: Format not recognised",
        "5_anna_12.wav": "has 2 channels at 44100 Hz, not 1 at 8000",
        "6_anna_12.wav": "cannot be read: the audio holds no samples",
        "notes.txt": "not named {digit}_{speaker}_{index}.wav",
    }
    assert all(f"left out: {name}" in done.stderr for name in ignored)
    for number in range(20):
        (odd / f"copy of {number}.wav").touch()
    done = prepare(root, odd.parent, tmp_path, *FEW)
    assert done.returncode == 1
    assert "25 of 265 files are no recordings" in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--split", "speaker", "--held_out", "cleo"), "'cleo' is not among anna, bert"),
        (("--corpus_dir", "nowhere"), "nowhere/recordings is missing: run stage 0"),
    ],
)
def test_errors_in_one_line(root: Path, corpus: Path, tmp_path: Path, options: tuple, message: str) -> None:
    done = prepare(root, corpus, tmp_path, *options)
    assert done.returncode != 0
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_download_without_network(root: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
    script = str(root / "egs" / "fsdd" / "local" / "download.sh")
    done = subprocess.run(
        [script, "--corpus_dir", str(tmp_path / "corpus")], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "name it with --corpus_dir" in done.stderr
    assert not list(tmp_path.iterdir())


def test_real_recordings(root: Path, speech: Path, tmp_path: Path) -> None:
    done = prepare(root, speech / "free-spoken-digit-dataset", tmp_path, "--train-strings", "60", "--dev-strings", "6")
    assert done.returncode == 0, done.stderr
    assert "found 3000 recordings of 6 speakers" in done.stderr
    assert len(used(tmp_path / "test")) == 300
    assert (tmp_path / "audio" / "official.ignored").read_text() == ""
