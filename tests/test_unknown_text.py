"""Text that the output units cannot spell is counted, listed and explained, and much of it refused."""

import logging
from collections import Counter

import numpy as np
import pytest
import torch
from kaldi_helpers import read
from training_helpers import BINS, TINY, prepare, write_corpus

from omni_asr.bin import decode, run_program, train
from omni_asr.config import Config, FeaturesConfig, ModelConfig
from omni_asr.data.dataset import UtteranceSet
from omni_asr.models.asr_model import AsrModel
from omni_asr.models.package import pack, save_package
from omni_asr.scoring.markup import bare_words
from omni_asr.text.tokenizer import train_tokenizer
from omni_asr.text.unknown import count_unknown, likely_cause

LOWER = ["the cat sat on a mat and said it was the best of all mats", "he couldn't find the key of the door"] * 20
KINDS = [("char", 0), ("bpe", 40), ("unigram", 40)]


@pytest.mark.parametrize(("kind", "size"), KINDS)
def test_words_count_alike_under_every_kind_of_units(kind, size, tmp_path):
    units = train_tokenizer(kind, size, LOWER)
    texts = {"a-1": "the CAT sat", "a-2": "the cat sat", "b-1": "the caté and THE door"}
    counts = count_unknown(((utt, text.split()) for utt, text in texts.items()), units, tmp_path / "list")
    assert (counts.words, dict(counts.unknown_words)) == (11, {"CAT": 1, "caté": 1, "THE": 1})
    assert counts.share == 3 / 11 and counts.utterances == 2
    listed = {line.split()[0]: "".join(line.split()[1:]) for line in read(tmp_path, "list")}
    assert listed == {"a-1": "CAT", "b-1": "éTHE"}
    assert counts.unknown_units == (7 if kind == "char" else 3)
    assert units.unknown("THE") == (["T", "H", "E"] if kind == "char" else ["THE"])


def test_nothing_unknown_leaves_no_list(tmp_path):
    units = train_tokenizer("char", 0, LOWER)
    assert count_unknown([("a", ["the", "cat"]), ("b", [])], units, tmp_path / "list").share == 0
    assert not (tmp_path / "list").exists()


@pytest.mark.parametrize(
    ("units", "text", "cause"),
    [
        ("the cat sat", "THE CAT SAT", "case, lower-casing would spell 100 % of them"),
        ("THE CAT SAT", "the cat sat", "case, upper-casing would spell 100 % of them"),
        ("the café", "cafe\u0301 cafe\u0301", "normalisation, Unicode's NFC would spell 100 % of them"),
        ("the cat", "ｔｈｅ ｃａｔ", "normalisation, Unicode's NFKC would spell 100 % of them"),
        (
            "the cat sat",
            "The cát, sat.",
            "normalisation, plain words (a-z and ', omni_asr.text.plain) would spell",
        ),
        ("THE CAT SAT", "The cát, sat.", "normalisation, plain words in capitals would spell 100 % of them"),
        ("the cat sat", "кот сидел the", "script, they have letters of CYRILLIC, the units of LATIN"),
        ("the cat sat", "25 26 27", "normalisation, the units lack 2 5 6 7"),
    ],
)
def test_the_likely_cause_is_named(units, text, cause):
    tokenizer = train_tokenizer("char", 0, [units])
    unknown = Counter(word for word in text.split() if tokenizer.unknown(word))
    assert likely_cause(unknown, tokenizer).startswith(cause)


@pytest.fixture
def options(tmp_path):
    return [*prepare(tmp_path), *(f"--set={change}" for change in TINY)]


def upper(folder, keep=0):
    """Put the text of a directory into capitals, but for the first utterances."""
    lines = (folder / "text").read_text().splitlines()
    changed = [f"{line.split()[0]} {line.partition(' ')[2].upper()}" for line in lines[keep:]]
    (folder / "text").write_text("\n".join([*lines[:keep], *changed]) + "\n")


def test_test_text_is_refused_before_training(options, tmp_path, capsys):
    for name in ("test", "none"):
        write_corpus(tmp_path / name, 4, 1)
    upper(tmp_path / "test")  # scoring takes no notice of case
    (tmp_path / "none/text").unlink()
    dirs = [f"--test-dir={tmp_path / name}" for name in ("none", "test", "absent", "dev")]
    arguments = [*options, *dirs, "--exp-dir", str(tmp_path / "exp"), "--set=train.max_steps=2"]
    text = tmp_path / "test/text"
    before = text.read_text()
    ids = [line.split()[0] for line in before.splitlines()]
    text.write_text("".join(f"{utt} кот\n" for utt in ids))
    assert run_program(train.main, arguments) == 1
    error = next(line for line in capsys.readouterr().err.splitlines() if "error: " in line)
    assert f"{text}: 4 of 4 words (100 %) have units that are unknown" in error
    assert "--max_unknown 1 of the recipe (decode.max_unknown)" in error
    assert str(tmp_path / "exp/unknown_utts_test_test") in error
    assert read(tmp_path / "exp", "unknown_utts_test_test") == [f"{utt} к о т" for utt in ids]
    assert not (tmp_path / "exp/config.yaml").exists() and not list((tmp_path / "exp").glob("checkpoints/*"))
    assert run_program(train.main, [*arguments, "--set=decode.max_unknown=1"]) == 0
    text.write_text(before)
    assert run_program(train.main, [*arguments[:-2], str(tmp_path / "exp2"), arguments[-1]]) == 0
    assert not list((tmp_path / "exp2").glob("unknown_utts_test_*"))


@pytest.mark.parametrize("name", ["train", "dev"])
def test_training_on_capitals_with_units_in_lower_case_is_refused(options, tmp_path, capsys, name):
    upper(tmp_path / name)
    words = sum(len(line.split()) - 1 for line in (tmp_path / name / "text").read_text().splitlines())
    assert run_program(train.main, [*options, "--exp-dir", str(tmp_path / "exp")]) == 1
    error = next(line for line in capsys.readouterr().err.splitlines() if "error: " in line)
    listing = tmp_path / "exp" / f"unknown_utts_{'train' if name == 'train' else 'valid'}"
    assert f"{tmp_path / name}/text: {words} of {words} words (100 %) have units that are unknown" in error
    assert "likely cause: case, lower-casing would spell 100 % of them" in error and str(listing) in error
    assert "--max_unknown 1 of the recipe (data.max_unknown)" in error
    assert len(listing.read_text().splitlines()) == (60 if name == "train" else 10)
    assert not list((tmp_path / "exp").glob("checkpoints/*"))


def test_a_few_words_are_logged_and_listed(options, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    lines = (tmp_path / "train/text").read_text().splitlines()
    first, _, *words = lines[0].split()
    (tmp_path / "train/text").write_text("\n".join([" ".join([first, "QQ", *words]), *lines[1:]]) + "\n")
    changes = ["--set=data.max_unknown=0.05", "--set=train.max_steps=2"]
    assert run_program(train.main, [*options, *changes, "--exp-dir", str(tmp_path / "exp")]) == 0
    log = (tmp_path / "exp/train.log").read_text()
    assert "train/text: 1 of " in log and "in 1 utterances; likely cause: " in log
    assert "dev/text: the units spell every word" in log
    assert read(tmp_path / "exp", "unknown_utts_train") == [f"{first} Q Q"]
    assert not (tmp_path / "exp/unknown_utts_valid").exists()


def test_utterances_that_are_removed_do_not_count(options, tmp_path):
    units = train_tokenizer("char", 0, ["a b c d e f"])
    data = tmp_path / "train"
    upper(data, keep=1)
    utterances = UtteranceSet(data, units)
    assert len(utterances.manifest.rows_with(units.unknown_id)) == 59
    utterances._see(np.array([0], np.int32))
    utterances.refuse_unknown(units, 0.0, tmp_path / "list")
    assert not (tmp_path / "list").exists()


@pytest.fixture
def model_path(tmp_path):
    torch.manual_seed(0)
    units = train_tokenizer("char", 0, ["a b c d e f"])
    small = ModelConfig(experts="2x4", dim=16, hidden=32, heads=2)
    config = Config(model=small, features=FeaturesConfig(num_mel_bins=BINS))
    model = AsrModel(config.model, BINS, units.size)
    save_package(tmp_path / "model.pt", pack(model.state_dict(), config, units, {"router": "omni"}))
    return tmp_path / "model.pt"


def decoded(model_path, data, out, *changes):
    return run_program(decode.main, ["--model", str(model_path), *changes, str(data), str(out)])


def test_case_and_marks_of_test_text_do_not_count(model_path, tmp_path):
    data = write_corpus(tmp_path / "data", 4, 1)
    ids = [line.split()[0] for line in (data / "text").read_text().splitlines()]
    texts = ["ABC <noise> {a / B /@}", "(%hesitation) (abc) ab- %uh", "[laughter] a;tag b*", "fed"]
    (data / "text").write_text("".join(f"{utt} {text}\n" for utt, text in zip(ids, texts, strict=True)))
    assert decoded(model_path, data, tmp_path / "out") == 0
    assert not (tmp_path / "out/unknown_utts").exists()
    assert list(bare_words("(a) b- {c / d e / @} <x> [y] %z f;g (h i)")) == list("abcdefhi")


def test_test_text_in_another_script_is_refused_before_decoding(model_path, tmp_path, capsys):
    data = write_corpus(tmp_path / "data", 4, 1)
    ids = [line.split()[0] for line in (data / "text").read_text().splitlines()]
    (data / "text").write_text("".join(f"{utt} кот\n" for utt in ids))
    assert decoded(model_path, data, tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert "4 of 4 words" in error and "likely cause: script, they have letters of CYRILLIC" in error
    assert read(tmp_path / "out", "unknown_utts") == [f"{utt} к о т" for utt in ids]
    assert not (tmp_path / "out/text").exists()
    assert decoded(model_path, data, tmp_path / "out", "--set=decode.max_unknown=1") == 0
    assert (tmp_path / "out/text").exists() and len(read(tmp_path / "out", "unknown_utts")) == 4


def test_a_set_without_text_is_decoded(model_path, tmp_path):
    data = write_corpus(tmp_path / "data", 4, 1)
    (data / "text").unlink()
    assert decoded(model_path, data, tmp_path / "out") == 0
