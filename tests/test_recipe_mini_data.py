"""The corpus of egs/mini: its grammar, its voices, its synthesis. espeak-ng is loaded in other processes only."""

import csv
import errno
import importlib.util
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from recipe_helpers import wait_for

from omni_asr.errors import UserError
from omni_asr.kaldi.validate import validate

needs_espeak = pytest.mark.skipif(
    importlib.util.find_spec("espeakng_loader") is None, reason="espeakng-loader is not installed"
)
GOLDEN = [710308, 511226, 836143]
SETS = {"train": 120, "dev": 16, "test": 10, "test_noisy": 10, "test_phone": 10, "test_fast": 10}
PRINT_HASHES = """
import hashlib
from espeak import Espeak
from voices import ACCENTS, VARIANTS
espeak = Espeak()
names = [*ACCENTS, *(f"en+{variant}" for part in VARIANTS.values() for variant in part)]
for name in names * 2:
    espeak.restart(1)
    print(name, hashlib.sha256(espeak.synthesise("call bob at ten past seven", name, 50, 50, 160)).hexdigest(), sep="=")
"""


@pytest.fixture
def local(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = root / "egs" / "mini" / "local"
    monkeypatch.syspath_prepend(str(folder))
    return folder


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess:
    local = root / "egs" / "mini" / "local"
    environment = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{local}", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=local, capture_output=True, text=True, check=False
    )


def synthesise(root: Path, corpus: Path, *options: str) -> subprocess.CompletedProcess:
    return run(root, "synthesise.py", "--size", "tiny", "--corpus-dir", str(corpus), *options)


def rows_of(corpus: Path, part: str) -> list[dict[str, str]]:
    with open(corpus / part / "transcripts.tsv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def audio(corpus: Path, part: str, row: dict[str, str]) -> tuple[np.ndarray, int]:
    (path,) = (corpus / part / row["speaker"]).glob(f"{row['utterance']}.*")
    return soundfile.read(path)


@pytest.fixture(scope="module")
def corpus(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mini") / "corpus"
    done = synthesise(root, folder, "--jobs", "2")
    assert done.returncode == 0, done.stderr
    assert "corpus is complete after" in done.stderr
    return folder


def test_grammar(local: Path) -> None:
    sentences = importlib.import_module("sentences")
    texts = []
    for seed in range(2800):
        texts.append(sentences.Grammar(np.random.default_rng(seed)).sentence())
    words = {word for text in texts for word in text.split()}
    assert len(set(texts)) >= 1500
    assert len(words) >= 150
    assert all(word.isascii() and word.isalpha() and word.islower() for word in words)
    assert all(4 <= len(text.split()) <= 13 for text in texts)


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "zero"), (13, "thirteen"), (40, "forty"), (99, "ninety nine"), (305, "three hundred and five"),
     (2000, "two thousand"), (7012, "seven thousand and twelve"), (1342, "one thousand three hundred and forty two")],
)  # fmt: skip
def test_numbers_in_words(local: Path, number: int, words: str) -> None:
    assert importlib.import_module("sentences").in_words(number) == words


def test_variants_are_in_one_set_only(local: Path) -> None:
    variants = importlib.import_module("voices").VARIANTS
    every = [variant for part in variants.values() for variant in part]
    assert len(every) == len(set(every))
    assert len(variants["train"]) * 8 >= 300


@pytest.mark.parametrize("rates", [(22050, 16000), (16000, 8000), (8000, 16000)])
def test_resampling_keeps_a_tone(local: Path, rates: tuple[int, int]) -> None:
    old, new = rates
    tone = np.sin(2 * np.pi * 1000 * np.arange(old) / old)
    expected = np.sin(2 * np.pi * 1000 * np.arange(new) / new)
    assert np.abs(importlib.import_module("degrade").resample(tone, old, new) - expected).max() < 1e-9


def test_noise_has_the_wanted_snr(local: Path) -> None:
    degrade = importlib.import_module("degrade")
    random = np.random.default_rng(0)
    signal, noise = 0.01 * random.standard_normal(16000), degrade.coloured_noise(random, 5000, 1.0)
    difference = degrade.add_noise(signal, noise, 10.0) - signal
    assert 20 * np.log10(degrade.rms(signal) / degrade.rms(difference)) == pytest.approx(10.0)


@needs_espeak
def test_every_voice_sounds_different_and_the_same_again(root: Path) -> None:
    done = run(root, "-c", PRINT_HASHES)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    first, second = lines[: len(lines) // 2], lines[len(lines) // 2 :]
    assert first == second
    assert len({line.split("=")[1] for line in first}) == len(first)


@needs_espeak
def test_unknown_voice(root: Path) -> None:
    code = "import espeak; espeak.Espeak().synthesise('one', 'en+nobody', 50, 50, 160)"
    done = run(root, "-c", code)
    assert done.returncode == 1
    assert "espeak-ng has no voice 'en+nobody'" in done.stderr


def test_missing_wheel_is_one_line(root: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['espeakng_loader'] = None; import synthesise\n"
        "from omni_asr.bin import run_program\n"
        f"sys.exit(run_program(synthesise.main, ['--size', 'tiny', '--jobs', '1', '--out', {str(tmp_path / 'c')!r}]))"
    )
    done = run(root, "-c", code)
    assert done.returncode == 1
    assert "pip install espeakng-loader" in done.stderr.splitlines()[-1]
    assert not list(tmp_path.iterdir())


@needs_espeak
def test_counts_and_formats(corpus: Path) -> None:
    for part, count in SETS.items():
        rows = rows_of(corpus, part)
        assert len(rows) == count
        assert [row["utterance"] for row in rows] == sorted(row["utterance"] for row in rows)
        for row in rows:
            samples, rate = audio(corpus, part, row)
            assert rate == (8000 if part == "test_phone" else 16000)
            assert samples.ndim == 1
            assert len(samples) / rate == pytest.approx(float(row["seconds"]), abs=1e-3)
            assert 0.7 < len(samples) / rate < 8
            assert -40 < 20 * np.log10(samples.std()) < -15
            assert np.abs(samples).max() < 0.99


@needs_espeak
def test_no_voice_of_test_or_dev_is_in_training(corpus: Path) -> None:
    variants = {part: {row["voice"].split("+")[1] for row in rows_of(corpus, part)} for part in SETS}
    assert not variants["train"] & (variants["test"] | variants["dev"])
    assert not variants["test"] & variants["dev"]


@needs_espeak
def test_disturbed_tests_say_the_same_in_the_same_voices(corpus: Path) -> None:
    def said(part: str) -> list[tuple[str, str, str]]:
        return sorted((row["utterance"][-5:], row["voice"], row["text"]) for row in rows_of(corpus, part))

    assert said("test") == said("test_noisy") == said("test_phone") == said("test_fast")
    seconds = {part: sum(float(row["seconds"]) for row in rows_of(corpus, part)) for part in SETS}
    assert seconds["test_fast"] < 0.8 * seconds["test"]
    for row in rows_of(corpus, "test_phone"):
        samples, rate = audio(corpus, "test_phone", row)
        power = np.abs(np.fft.rfft(samples)) ** 2
        frequency = np.fft.rfftfreq(len(samples), 1 / rate)
        assert power[(frequency < 200) | (frequency > 3700)].sum() < 0.01 * power.sum()
    for row in rows_of(corpus, "test_noisy"):
        assert 5 <= float(row["condition"].split("snr=")[1]) <= 15


@needs_espeak
def test_number_of_processes_changes_no_byte(root: Path, corpus: Path, tmp_path: Path) -> None:
    assert synthesise(root, tmp_path / "corpus", "--jobs", "1").returncode == 0
    files = sorted(path.relative_to(corpus) for path in corpus.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(tmp_path / "corpus") for path in tmp_path.rglob("*") if path.is_file())
    assert [name for name in files if (corpus / name).read_bytes() != (tmp_path / "corpus" / name).read_bytes()] == []


@needs_espeak
def test_second_run_says_complete_and_other_options_make_it_anew(root: Path, corpus: Path, tmp_path: Path) -> None:
    again = synthesise(root, corpus)
    assert again.returncode == 0
    assert "is complete: {'code'" in again.stderr
    shutil.copytree(corpus, tmp_path / "corpus")
    other = synthesise(root, tmp_path / "corpus", "--seed", "2")
    assert other.returncode == 0, other.stderr
    assert json.loads((tmp_path / "corpus" / "corpus.json").read_text())["seed"] == 2
    texts = [[row["text"] for row in rows_of(folder, "train")] for folder in (corpus, tmp_path / "corpus")]
    assert len(texts[0]) == len(texts[1]) and texts[0] != texts[1]


def test_a_folder_that_is_no_corpus_is_left_alone(root: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    done = synthesise(root, tmp_path / "thesis")
    assert done.returncode == 1
    assert "remove it, or choose another folder with --corpus-dir" in done.stderr.splitlines()[-1]
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"


def test_corpus_of_other_code_is_made_anew(root: Path, local: Path, tmp_path: Path) -> None:
    code = importlib.import_module("synthesise").checksum()
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "corpus.json").write_text(json.dumps({"code": code, "size": "tiny", "seed": 1}))
    assert synthesise(root, tmp_path / "corpus").returncode == 0
    shutil.copytree(local, tmp_path / "local")
    with open(tmp_path / "local" / "voices.py", "a") as file:
        file.write("# another voice\n")
    script = str(tmp_path / "local" / "synthesise.py")
    done = run(root, "-c", "import runpy, sys; sys.path.insert(0, sys.argv[1]); sys.argv = sys.argv[2:]; "
               "runpy.run_path(sys.argv[0], run_name='__main__')", str(tmp_path / "local"), script,
               "--size", "tiny", "--corpus-dir", str(tmp_path / "corpus"))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "it is made anew" in done.stderr
    assert json.loads((tmp_path / "corpus" / "corpus.json").read_text())["code"] != code
    assert (tmp_path / "corpus" / "train" / "transcripts.tsv").exists()


def test_random_draws_do_not_depend_on_the_code(local: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = importlib.import_module("synthesise")
    monkeypatch.setattr(program, "checksum", lambda: "other")
    assert program.generator_for(1, "train", 0).integers(10**6, size=3).tolist() == GOLDEN


@needs_espeak
@pytest.mark.parametrize("whole_group", [False, True])
def test_terminated_run_leaves_nothing(root: Path, tmp_path: Path, whole_group: bool) -> None:
    """Ctrl-C in run.sh sends SIGTERM to the whole group, so that the processes end before the main one knows."""
    script = root / "egs" / "mini" / "local" / "synthesise.py"
    arguments = [sys.executable, str(script), "--corpus-dir", str(tmp_path / "corpus"), "--jobs", "2"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    process = subprocess.Popen(arguments, env=environment, stderr=subprocess.PIPE, start_new_session=True)
    wait_for(lambda: list(tmp_path.glob(".corpus.tmp.*/train/*/*.flac")), 60)
    if whole_group:
        os.killpg(process.pid, signal.SIGTERM)
    else:
        process.terminate()
    _, said = process.communicate(timeout=10)  # returns only when every child has closed its standard error
    assert process.returncode == 130
    assert said.splitlines()[-1].endswith(b"interrupted")
    assert not list(tmp_path.iterdir())


def test_process_that_is_killed_is_an_error(local: Path, tmp_path: Path, monkeypatch) -> None:
    """Nobody waits for its rows, nor for a lock that it held."""
    program = importlib.import_module("synthesise")
    monkeypatch.setattr(program, "Espeak", object)
    monkeypatch.setattr(program, "make_utterance", lambda espeak, job: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(UserError, match="a process of the synthesis ended with exit code -9; start it again"):
        program.build(tmp_path / "corpus", {"size": "tiny", "seed": 1}, 3)
    assert not list(tmp_path.iterdir())


def test_full_disk_is_named(local: Path, tmp_path: Path, monkeypatch) -> None:
    program = importlib.import_module("synthesise")

    def full(espeak, job):
        raise OSError(errno.ENOSPC, "No space left on device", f"{tmp_path}/a.flac")

    monkeypatch.setattr(program, "Espeak", object)
    monkeypatch.setattr(program, "make_utterance", full)
    with pytest.raises(OSError) as failure:
        program.build(tmp_path / "corpus", {"size": "tiny", "seed": 1}, 2)
    assert failure.value.filename == f"{tmp_path}/a.flac" and not list(tmp_path.iterdir())


def test_an_interrupt_between_two_rows_ends_the_processes_first(local: Path, tmp_path: Path, monkeypatch) -> None:
    """What they would write after the folder is removed makes it anew."""
    program, before = importlib.import_module("synthesise"), set(multiprocessing.active_children())
    monkeypatch.setattr(program, "Espeak", object)
    monkeypatch.setattr(program, "make_utterance", lambda espeak, job: {})

    def interrupted(rows, total):
        yield next(rows)
        raise KeyboardInterrupt

    running: list[int] = []
    monkeypatch.setattr(program, "progress", interrupted)
    monkeypatch.setattr(
        program.shutil, "rmtree", lambda *_, **__: running.append(len({*multiprocessing.active_children()} - before))
    )
    with pytest.raises(KeyboardInterrupt):
        program.build(tmp_path / "corpus", {"size": "tiny", "seed": 1}, 2)
    assert running == [0]


@needs_espeak
def test_data_directories(root: Path, corpus: Path, tmp_path: Path) -> None:
    done = run(root, "prepare.py", "--corpus_dir", str(corpus), "--data_dir", str(tmp_path))
    assert done.returncode == 0, done.stderr
    for part, count in SETS.items():
        assert validate(str(tmp_path / part), False, True, True)["utt"] == count
    assert any(" train         120 utterances" in line for line in done.stderr.splitlines())


def test_prepare_without_corpus(root: Path, tmp_path: Path) -> None:
    done = run(root, "prepare.py", "--corpus_dir", str(tmp_path), "--data_dir", str(tmp_path))
    assert done.returncode == 1
    assert "run stage 0" in done.stderr


def test_data_of_another_size_are_not_trained_on(root: Path, tmp_path: Path) -> None:
    """After a trial, `--stage 3` without its size would replace rows of RESULTS.md by those of the trial."""
    for name in ("TEMPLATE", "mini"):
        skip = shutil.ignore_patterns("data", "exp", "fbank", "corpus")
        shutil.copytree(root / "egs" / name, tmp_path / "egs" / name, symlinks=True, ignore=skip)
    done = tmp_path / "egs/mini/data/.done"
    done.mkdir(parents=True)
    (done / "download").write_text("options: --corpus_dir=corpus --size=tiny\n")

    def start(*options: str) -> subprocess.CompletedProcess[str]:
        command = ["./run.sh", "--dry_run", "true", "--ngpu", "0", *options]
        return subprocess.run(command, cwd=tmp_path / "egs/mini", capture_output=True, text=True)

    refused = start("--stage", "3")
    assert refused.returncode == 1
    assert refused.stderr == "run.sh: error: data/ was made with --size tiny; give that again, or start at stage 0\n"
    assert start("--stage", "3", "--size", "tiny").returncode == 0
    assert start("--stop_stage", "0").returncode == 0
