"""A disk that takes no more is named in one line, leaves nothing half written, and spares what was there."""

import contextlib
import resource
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch
from kaldi_helpers import write_dir
from training_helpers import BINS, write_corpus

from omni_asr.bin import (
    collect_feats,
    combine,
    compute_cmvn,
    copy,
    decode,
    make_fbank,
    run_program,
    score_trn,
    shard,
    split,
    subset,
    train_tokenizer,
)
from omni_asr.config import Config, FeaturesConfig, ModelConfig
from omni_asr.corpora.disk_table import DiskTable
from omni_asr.corpora.writer import SetWriter
from omni_asr.data.manifest import open_manifest
from omni_asr.errors import UserError
from omni_asr.files import atomic_write
from omni_asr.models.asr_model import AsrModel
from omni_asr.models.package import pack, save_package
from omni_asr.text.tokenizer import train_tokenizer as make_tokenizer
from omni_asr.training.checkpoint import Checkpoints, Position
from omni_asr.training.logging import TrainLog

REASON = "File too large"  # of a limit on the size of files, which fails as a full disk does


@contextlib.contextmanager
def full_disk():
    """Let no file grow; files can be made all the same, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def contents(folder):
    """Files by their path, and their bytes; a manifest is no output."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and "manifest" not in path.parts}


def kept(files, program):
    """Output of before that a failing program keeps; make-fbank removes its old table before anything can fail."""
    return {path: data for path, data in files.items() if program != "make-fbank" or path.suffix != ".scp"}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    tokenizer = make_tokenizer("char", 0, ["a b c d e f"])
    config = Config(
        model=ModelConfig(experts="2x4", dim=16, hidden=32, heads=2), features=FeaturesConfig(num_mel_bins=BINS)
    )
    path = tmp_path_factory.mktemp("model") / "model.pt"
    weights = AsrModel(config.model, BINS, tokenizer.size).state_dict()
    save_package(path, pack(weights, config, tokenizer, {"router": "omni"}))
    return path


@pytest.fixture
def place(tmp_path):
    """Audio, features of one job, and a directory with features."""
    generator = np.random.default_rng(1)
    names = ["a-1", "a-2", "b-1", "b-2"]
    for name in names:
        soundfile.write(tmp_path / f"{name}.wav", generator.normal(0, 0.1, 8000), 16000)
    wav = "\n".join(f"{name} {tmp_path}/{name}.wav" for name in names)
    speakers = {"utt2spk": "a-1 a\na-2 a\nb-1 b\nb-2 b", "spk2utt": "a a-1 a-2\nb b-1 b-2"}
    text = "\n".join(f"{name} one two" for name in names)
    write_dir(tmp_path / "audio", wav_scp=wav, text=text, **speakers)
    make_fbank.main([str(tmp_path / "audio"), f"{tmp_path}/fbank/x.1"])
    write_corpus(tmp_path / "feats", 6, 1)
    (tmp_path / "words.trn").write_text("one two (a-1)\n")
    return tmp_path


PROGRAMS = {
    "make-fbank": (make_fbank, ["{0}/audio", "{0}/fbank/x.1"]),
    "collect-feats": (collect_feats, ["{0}/audio", "1", "{0}/fbank/x"]),
    "split": (split, ["{0}/audio", "2"]),
    "copy": (copy, ["{0}/audio", "{0}/out"]),
    "subset": (subset, ["--first", "{0}/audio", "2", "{0}/out"]),
    "combine": (combine, ["{0}/out", "{0}/audio"]),
    "train-tokenizer": (train_tokenizer, ["--type", "char", "{0}/audio/text", "{0}/lang"]),
    "compute-cmvn": (compute_cmvn, ["{0}/feats", "{0}/cmvn.ark"]),
    "shard": (shard, ["--utts-per-shard", "3", "{0}/feats", "{0}/out"]),
    "score-trn": (score_trn, ["{0}/words.trn", "{0}/words.trn", "{0}/out"]),
    "decode": (decode, ["--model", "{1}", "{0}/feats", "{0}/out"]),
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_name_the_file_in_one_line(place, model, capsys, program):
    main, words = PROGRAMS[program]
    before = contents(place)
    capsys.readouterr()
    with full_disk():
        status = run_program(main.main, [word.format(place, model) for word in words])
    lines = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert status == 1 and len(lines) == 1
    assert lines[0].startswith(f"{program}: error: ") and REASON in lines[0] and f"{place}/" in lines[0]
    assert kept(contents(place), program) == kept(before, program)
    assert not list(place.rglob(".*.tmp.*"))


@pytest.mark.parametrize("program", ["make-fbank", "train-tokenizer", "compute-cmvn", "collect-feats"])
def test_output_that_was_there_stays(place, model, capsys, program):
    main, words = PROGRAMS[program]
    arguments = [word.format(place, model) for word in words]
    assert run_program(main.main, arguments) == 0
    before = contents(place)
    with full_disk():
        assert run_program(main.main, arguments) == 1
    assert kept(contents(place), program) == kept(before, program)


def test_state_of_training(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save_state(Position(step=1), {"model": {"weight": torch.zeros(3000)}})
    with full_disk(), pytest.raises(UserError, match=rf"cannot write .*state-0*2\.pt \({REASON}\)"):
        checkpoints.save_state(Position(step=2), {"model": {"weight": torch.zeros(3000)}})
    assert checkpoints.newest() == 1 and not list(tmp_path.rglob(".*.tmp.*"))


def test_records_of_training(tmp_path):
    log = TrainLog(tmp_path, 0)
    with full_disk(), pytest.raises(OSError, match=REASON) as failure:
        log.record("train", {"step": 1, "loss": 2.0})
    assert str(failure.value.filename) == str(tmp_path / "train.jsonl")


def test_manifest(tmp_path):
    data = write_corpus(tmp_path / "data", 6, 1)
    with full_disk(), pytest.raises(UserError, match=f"cannot write the manifest .{REASON}"):
        open_manifest(data, None)


def test_prepared_set(tmp_path):
    with full_disk(), pytest.raises(OSError, match=REASON) as failure, SetWriter(tmp_path / "set") as writer:
        for number in range(2000):
            writer.utterance(f"a-{number:04}", "a", "some words", audio=f"/corpus/{number}.wav")
    assert str(failure.value.filename).startswith(f"{tmp_path}/.set.tmp.")
    assert list(tmp_path.iterdir()) == []


def test_table_on_the_disk(tmp_path):
    with full_disk(), pytest.raises(UserError, match="cannot write .*table.*: .*make room"):
        DiskTable(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_library_that_hides_the_error(tmp_path):
    """Torch makes a RuntimeError of it, without the reason."""
    with full_disk(), pytest.raises(OSError, match=REASON) as failure, atomic_write(tmp_path / "x.pt", "wb") as file:
        torch.save({"weight": torch.zeros(100_000)}, file)
    assert failure.value.filename == str(tmp_path / "x.pt")
    assert list(tmp_path.iterdir()) == []


def test_output_on_a_full_disk():
    words = [sys.executable, "-c", "from omni_asr.bin import run_program; exit(run_program(lambda _: print('words')))"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and done.stderr == "-c: error: No space left on device\n"
