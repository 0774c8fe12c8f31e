"""Words that references join by hyphens: what is joined in a hypothesis, what is not, and that it never adds errors."""

import os
import random
import subprocess
import sys

import pytest

from omni_asr.scoring.align import Counts, align
from omni_asr.scoring.hyphens import join_hyphens


@pytest.mark.parametrize(
    ("reference", "hypothesis", "joined"),
    [
        ("we follow up the follow-up", "we follow up the follow-up", "we follow up the follow-up"),
        ("we follow up the follow-up", "we follow up the follow up", "we follow up the follow-up"),
        ("half-built", "HALF built", "half-built"),
        ("a-b-c d", "A b-c d", "a-b-c d"),
        ("a-b-c-d-e-f", "a b c d e f", "a-b-c-d-e-f"),
        ("a-b-c-d-e-f", "a-b c d e f", "a-b c d e f"),  # so long a word is apart wholly or not at all
        ("so-called", "so uh called", "so uh called"),
        ("so-called", "so cold", "so cold"),
        ("well known", "well-known", "well-known"),  # the reference decides
        ("-a b-", "-a b-", "-a b-"),
        ("@-x { a / b-c }", "@ x { a / b c }", "@-x { a / b-c }"),  # words mean nothing but themselves
        ("", "a b", "a b"),
        ("a-b", "", ""),
    ],
)
def test_words_are_joined_where_the_reference_joins_them(reference, hypothesis, joined):
    assert join_hyphens(reference.split(), hypothesis.split()) == joined.split()


def test_two_runs_agree():
    program = "from omni_asr.scoring.hyphens import join_hyphens as j; print(j(*map(str.split, {})))"
    program = program.format(("the a-b b-c-d thing", "the a b c d thing"))
    runs = [
        subprocess.run(
            [sys.executable, "-c", program], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in "0123"
    ]
    assert len(set(runs)) == 1


def random_pair(source):
    """A reference with hyphens, and a hypothesis in which words are apart, joined, wrong, gone or added."""
    letters = "abcd"[: source.choice([2, 3, 4])]
    reference = ["-".join(source.choices(letters, k=source.choice([1, 1, 2, 3]))) for _ in range(source.randint(1, 7))]
    hypothesis: list[str] = []
    for word in "-".join(reference).split("-"):
        if source.random() < 0.15:
            continue
        if source.random() < 0.3:
            word = source.choice(letters)
        if source.random() < 0.1:
            hypothesis.append(source.choice(letters))
        if hypothesis and source.random() < 0.2:
            hypothesis[-1] += f"-{word}"
        else:
            hypothesis.append(word)
    return reference, hypothesis


def test_joining_keeps_the_letters_and_never_adds_errors():
    source = random.Random(0)
    fewer = 0
    for _ in range(1500):
        reference, hypothesis = random_pair(source)
        joined = join_hyphens(reference, hypothesis)
        before, after = (Counts.of(align(reference, words)).errors for words in (hypothesis, joined))
        assert after <= before, (reference, hypothesis, joined)
        assert "".join(joined).replace("-", "") == "".join(hypothesis).replace("-", "")
        fewer += after < before
    assert fewer > 200
