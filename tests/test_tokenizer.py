"""Tokenizers: round trip, the blank, and vocabularies that fit the text."""

import logging

import pytest

from omni_asr.bin import run_program
from omni_asr.bin import train_tokenizer as program
from omni_asr.errors import UserError
from omni_asr.text.tokenizer import (
    BLANK,
    SPACE,
    UNKNOWN,
    _sampled,
    load_tokenizer,
    save_tokenizer,
    tokenizer_from_state,
    train_tokenizer,
)

WORDS = "red kettle boiled over he couldn't find the key door lantern swung above under river stone table".split()
TEXTS = [" ".join(WORDS[(i * k) % len(WORDS)] for k in range(1, 6)) for i in range(1, 40)]
TYPES = [("char", 0), ("bpe", 40), ("unigram", 40)]


@pytest.mark.parametrize(("kind", "size"), TYPES)
def test_round_trip(kind, size, tmp_path):
    tokenizer = train_tokenizer(kind, size, TEXTS)
    save_tokenizer(tokenizer, tmp_path / "lang")
    again = [tokenizer, load_tokenizer(tmp_path / "lang"), tokenizer_from_state(tokenizer.state())]
    for one in again:
        assert one.units == tokenizer.units
        for text in TEXTS[:3]:
            ids = one.encode(text)
            assert ids == tokenizer.encode(text)
            assert all(0 < index < one.size for index in ids)
            assert one.decode(ids) == text
    if size:
        assert tokenizer.size == size


@pytest.mark.parametrize(("kind", "size"), TYPES)
def test_blank_is_zero_and_spaces_are_folded(kind, size, tmp_path):
    tokenizer = train_tokenizer(kind, size, TEXTS)
    assert tokenizer.units[0] == BLANK
    assert tokenizer.units[1] == UNKNOWN
    assert tokenizer.encode("  the   key ") == tokenizer.encode("the key")
    assert tokenizer.encode("") == []
    assert tokenizer.decode([]) == ""
    save_tokenizer(tokenizer, tmp_path)
    lines = (tmp_path / "tokens.txt").read_text(encoding="utf-8").splitlines()
    assert lines[0] == f"{BLANK} 0"
    assert [line.rsplit(" ", 1)[1] for line in lines] == [str(i) for i in range(tokenizer.size)]


@pytest.mark.parametrize(("kind", "size"), TYPES)
def test_unknown_characters_become_unk(kind, size):
    tokenizer = train_tokenizer(kind, size, TEXTS)
    assert 1 in tokenizer.encode("the ж")


def test_characters_are_the_text_s_own():
    tokenizer = train_tokenizer("char", 0, ["ab c", "ca"])
    assert tokenizer.units == [BLANK, UNKNOWN, SPACE, "a", "b", "c"]
    assert tokenizer.encode("a b") == [3, 2, 4]


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_a_vocabulary_larger_than_the_text_supports_is_lowered_with_a_message(kind, caplog):
    with caplog.at_level(logging.INFO):
        tokenizer = train_tokenizer(kind, 5000, TEXTS)
    assert 20 < tokenizer.size < 5000
    assert "lowered from 5000" in caplog.text and str(tokenizer.size) in caplog.text
    assert tokenizer.decode(tokenizer.encode(TEXTS[0])) == TEXTS[0]


def test_units_of_a_large_text_come_from_a_sample_that_has_every_character(monkeypatch, caplog):
    monkeypatch.setattr("omni_asr.text.tokenizer.MOST_LINES", 100)
    texts = [f"the {'cat' if number % 2 else 'dog'} number {'abcdefghij'[number % 10]}" for number in range(5000)]
    texts[4321] = "what a quiz"
    with caplog.at_level("INFO"):
        tokenizer = train_tokenizer("unigram", 40, iter(texts))
    assert "units are made from 100 of 5000 lines of the text" in caplog.text
    assert tokenizer.decode(tokenizer.encode("a quiz")) == "a quiz"
    again = train_tokenizer("unigram", 40, iter(texts))
    assert again.state() == tokenizer.state()
    lines, _ = _sampled(texts)
    places = sorted(texts.index(line) if line == "what a quiz" else -1 for line in lines)
    assert len(lines) <= 107 and places[-1] == 4321 and lines.count("what a quiz") == 1


def test_an_utterance_without_words_does_not_stop_the_program(tmp_path):
    (tmp_path / "text").write_text("a-1 the key\na-2\na-3 the door\n")
    assert run_program(program.main, ["--type", "char", str(tmp_path / "text"), str(tmp_path / "lang")]) == 0
    assert load_tokenizer(tmp_path / "lang").encode("key")


def test_refusals():
    with pytest.raises(UserError, match="no training text"):
        train_tokenizer("char", 0, ["", "  "])
    with pytest.raises(UserError, match="cannot spell"):
        train_tokenizer("bpe", 5, TEXTS)
    with pytest.raises(UserError, match="char, bpe or unigram"):
        train_tokenizer("word", 50, TEXTS)


def test_a_missing_language_directory_names_the_stage(tmp_path):
    with pytest.raises(UserError, match="stage 2"):
        load_tokenizer(tmp_path / "nowhere")
