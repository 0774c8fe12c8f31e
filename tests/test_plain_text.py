"""The convention of training texts."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omni_asr.text.plain import (
    lost_in_plain,
    plain_words,
    straight_quotes,
    unspoken,
    without_brackets,
    written_words,
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("“Well,” he said, it’s café time.", "well he said it's cafe time"),
        ("Turn left at the round-about!", "turn left at the round about"),
        ("'Tis the dogs' bowl, goin' 'round ‘the table’", "'tis the dogs' bowl goin' 'round the table"),
        ("‘The dogs’ are off", "the dogs are off"),
        ("ROCK 'N' ROLL — 'cause", "rock 'n' roll 'cause"),
        ("Straße, Øre\u00a0and\tZoë", "strasse ore and zoe"),
        ("' '' - …", ""),
        ("a co\u00adoperative\u200bcat\u200e", "a cooperative cat"),
    ],
)
def test_plain_words(text, words):
    assert plain_words(text) == words


@given(st.text())
def test_plain_words_are_plain_and_stay_as_they_are(text):
    words = plain_words(text)
    assert re.fullmatch(r"(?:[a-z']+(?: [a-z']+)*)?", words)
    assert plain_words(words).replace("'", "") == words.replace("'", "")


def test_what_would_be_lost():
    assert unspoken("The A40 in Москва, é") == "04авкмос"
    assert unspoken("“Café” & more!") == ""
    assert straight_quotes("‘a’ “b”") == "'a' \"b\""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("“It’s 2.5 km,” he said.", "it's 2.5 km he said"),
        ("At 10:30, 1,000 low-pressure_tests (40%) cost $7.", "at 10:30 1,000 low pressure tests 40% cost $7"),
        ("‘Café’ привет… 5…6.", "cafe привет 5 6"),
        ("Salt & pepper", "salt & pepper"),
        ("Velux™ windows, Zodiac℠® & Co.", "velux windows zodiac & co"),
    ],
)
def test_written_words_keep_what_plain_words_lose(text, words):
    assert written_words(text) == words


def test_what_is_said_and_lost():
    assert lost_in_plain("Salt & 5 кг") == "&5гк" and lost_in_plain("9％") == "%9"
    assert unspoken("itʼs") == ""
    assert lost_in_plain("“Café” – it’s (closed); today…") == ""


@given(st.text())
def test_text_without_loss_is_written_as_it_is_plain(text):
    if not lost_in_plain(text):
        assert written_words(text) == plain_words(text)


def test_signs_of_trademarks_are_no_letters():
    assert plain_words("a Velux™ window") == "a velux window"
    assert lost_in_plain("Velux™") == "" and without_brackets("Velux™") == "Velux "


def test_brackets_hide_nothing():
    assert without_brackets("A “big” [sic] <one> (of\u00ad two)") == 'A "big"  sic   one   of two '
