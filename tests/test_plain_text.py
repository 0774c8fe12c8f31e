"""The convention of training texts."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omni_asr.text.plain import plain_words, straight_quotes, unspoken


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
