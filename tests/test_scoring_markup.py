"""Transcripts with markup against sclite itself, and against alignments that sclite gave."""

import itertools
import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sclite_helpers import SCLITE, align_here, align_with_sclite, marked_text, options_of, plain_text, random_pairs

from omni_asr.errors import UserError
from omni_asr.scoring.align import Counts, fold_case
from omni_asr.scoring.markup import Markup, align_texts, parse
from omni_asr.scoring.network import LARGEST_TABLE, align_networks

STORED = Path(__file__).parent / "golden" / "sclite_alignments.jsonl"
MARKUPS = [Markup(*flags) for flags in itertools.product([False, True], repeat=3)]
needs_sclite = pytest.mark.skipif(SCLITE is None, reason="sclite is not installed (Debian: apt-get install sctk)")

CASES = [  # the forms one by one: reference, hypothesis, with -D, with -F, what sclite 2.4.10 gives
    ("{ a / b } c", "b c", False, False, "CC"),
    ("{a/b c} d", "b c d", False, False, "CCC"),
    ("{ a / { b / c } d / @ } e", "c d e", False, False, "CCC"),
    ("{ a / @ } c", "c", False, False, "C"),
    ("a b", "a { @ / x } b", False, False, "CC"),
    ("{ a / } b", "b", False, False, "DC"),  # an empty branch is none
    ("@ c", "c", False, False, "C"),
    ("{ a b / c } / d", "c / d", False, False, "CCC"),
    ("(a) (b-) c", "c", False, False, "DDC"),
    ("(a) (b-) c", "c", True, False, "CCC"),
    ("(a b) c", "c", True, False, "DDC"),
    ("x", "x (a)", True, False, "CC"),
    ("(a)", "a", True, False, "C"),
    ("(a)", "a", False, False, "S"),
    ("wor- x", "word x", False, True, "CC"),
    ("-ord x", "word x", False, True, "CC"),
    ("word x", "w- x", False, True, "CC"),
    ("wor- x", "work- x", False, True, "CC"),
    ("- x", "word x", False, True, "SC"),
    ("(wor-) x", "word x", False, True, "SC"),
    ("(wor-) x", "word x", True, True, "CC"),
    ("(-ord) x", "word x", True, True, "SC"),
    ("-- x", "b- x", False, True, "CC"),
    ("f*** c", "F** c", False, False, "SC"),
    ("a* b", "a b", False, False, "CC"),
    ("a;tag b", "a b", False, False, "CC"),
    ("a; {b;/c} d", "a b; d;", False, False, "CCC"),
    ("a; b", ";a b", False, False, "SC"),
    ("a\\b a\\;b", "ab A\\;B", False, False, "CC"),
    ("ÉTÉ Über", "été Über", False, False, "SC"),
]


@pytest.mark.parametrize(("reference", "hypothesis", "optional", "fragments", "letters"), CASES)
def test_every_form(reference, hypothesis, optional, fragments, letters):
    alignment = align_texts([reference], [hypothesis], Markup(optional, fragments))[0]
    assert alignment.operations == letters


def test_stored_alignments_of_sclite():
    rows = [json.loads(line) for line in STORED.read_text(encoding="utf-8").splitlines()]
    assert len(rows) >= 200
    for reference, hypothesis, flags, letters, counts in rows:
        alignment = align_texts([reference], [hypothesis], Markup(*flags))[0]
        assert alignment.operations == letters, (reference, hypothesis)
        assert Counts.of(alignment.operations) == Counts(*counts)


@needs_sclite
def test_every_form_is_sclites(tmp_path):
    for *pair, optional, fragments, letters in CASES:
        markup = Markup(optional, fragments)
        steps = align_with_sclite([pair], tmp_path, *options_of(markup))[0]
        assert ("".join(step[0] for step in steps), pair) == (letters, pair)


@needs_sclite
@pytest.mark.parametrize("markup", MARKUPS, ids=lambda markup: "".join(options_of(markup)) or "plain")
def test_marked_transcripts_align_as_in_sclite(markup, tmp_path):
    pairs = list(random_pairs(2000, seed=MARKUPS.index(markup)))
    encoding = ["-e", "utf-8"] if markup.optional else []
    assert align_here(pairs, markup) == align_with_sclite(pairs, tmp_path, *options_of(markup), *encoding)


@needs_sclite
@pytest.mark.parametrize("options", [[], ["-e", "utf-8"]], ids=["bytes", "utf-8"])
def test_plain_transcripts_align_as_in_sclite(options, tmp_path):
    pairs = list(random_pairs(6000, 21, plain_text)) + list(random_pairs(100, 22, plain_text, lengths=(150, 300)))
    assert align_here(pairs, Markup()) == align_with_sclite(pairs, tmp_path, *options)


@needs_sclite
def test_long_transcripts_align_as_in_sclite(tmp_path, monkeypatch):
    marked = list(random_pairs(12, 31, marked_text, lengths=(300,)))
    assert align_here(marked, Markup(True, True)) == align_with_sclite(marked, tmp_path, "-D", "-F")
    plain = list(random_pairs(3, 32, plain_text, lengths=(3000,)))
    expected = align_with_sclite(plain, tmp_path)
    assert align_here(plain, Markup()) == expected
    monkeypatch.setattr("omni_asr.scoring.align.CELLS_OF_ONE_PAIR", 1000)  # piece by piece
    assert align_here(plain, Markup()) == expected


@needs_sclite
@pytest.mark.parametrize(
    "marks", [["{ a / @ }", "@", "{ a @ b / c }"], ["(a)", "{ a b / c }", "b-"]], ids=["@", "whole"]
)
def test_long_transcripts_with_few_marks_align_as_in_sclite(tmp_path, monkeypatch, marks):
    source, pairs = random.Random(51), []
    for size in (3, 30, 300):
        words = [f"w{index}" for index in range(size)] + ["a", "b", "c"]
        reference = source.choices(words, k=1200)
        hypothesis = [word for word in reference if source.random() > 0.2]
        for side, number in ((reference, 30), (hypothesis, 3)):
            for _ in range(number):
                side.insert(source.randint(1, len(side)), source.choice(marks))
        pairs.append((" ".join(reference), " ".join(hypothesis)))
    assert align_here(pairs, Markup(True, True)) == align_with_sclite(pairs, tmp_path, "-D", "-F")
    monkeypatch.setattr("omni_asr.scoring.network.LEAST_ROWS", 1)
    pairs = list(random_pairs(500, 53))  # in pieces of a few words
    assert align_here(pairs, Markup(True, True)) == align_with_sclite(pairs, tmp_path, "-D", "-F")


def test_a_long_recording_with_one_optional_word_aligns_like_words():
    source = random.Random(52)
    reference = source.choices([f"w{index}" for index in range(300)], k=2500)
    hypothesis = [word for word in reference if source.random() > 0.1]
    plain = align_texts([" ".join(reference)], [" ".join(hypothesis)])[0].operations
    marked = align_texts([" ".join([*reference, "(uh)"])], [" ".join(hypothesis)], Markup(optional=True))[0]
    assert marked.operations == plain + "C"
    assert LARGEST_TABLE > 50_000**2


@needs_sclite
def test_a_change_of_one_rule_would_be_seen(tmp_path, monkeypatch):
    pairs = list(random_pairs(400, seed=41))
    expected = align_with_sclite(pairs, tmp_path, "-D")
    assert align_here(pairs, Markup(optional=True)) == expected
    monkeypatch.setattr("omni_asr.scoring.network.OPTIONAL_COST", 3.0)
    assert align_here(pairs, Markup(optional=True)) != expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{ a / b", "never closed"),
        ("{ { a } / b", "never closed"),
        ("a{ b }", "inside a word"),
        ("{ / } a", "no branch"),
    ],
)
def test_braces_out_of_order_are_named(text, message):
    with pytest.raises(UserError, match=message) as error:
        align_texts(["a", "b", text], ["a", "b", "c"])
    assert str(error.value).startswith("reference 2: ")
    with pytest.raises(UserError, match="^hypothesis 0: "):
        align_texts(["a"], [text])


def test_a_table_too_large_is_refused(monkeypatch):
    monkeypatch.setattr("omni_asr.scoring.network.LARGEST_TABLE", 20)
    with pytest.raises(UserError, match="too long to align with alternations"):
        align_texts(["{ a / b } c d e"], ["a b c d e f"])


words = st.lists(
    st.sampled_from(["a", "b", "B", "(a)", "a-", "a;", "\\a", "@", "{ a / b c }", "{ a / @ }", "é"]), max_size=8
)


@given(words, words)
def test_words_come_out_as_they_went_in(reference, hypothesis):
    markup = Markup(optional=True, fragments=True)
    alignment = align_texts([" ".join(reference)], [" ".join(hypothesis)], markup)[0]
    letters = alignment.operations
    assert len(alignment.reference) == len(letters) - letters.count("I")
    assert len(alignment.hypothesis) == len(letters) - letters.count("D")
    if not any("{" in word or word == "@" for word in reference):
        assert [word for word in alignment.reference if word] == [word.strip(";\\") for word in reference]


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=8), st.lists(st.sampled_from(["a", "b", "c"]), max_size=8))
def test_a_network_without_branches_aligns_like_words(reference, hypothesis):
    texts = " ".join(reference), " ".join(hypothesis)
    slow = align_networks(*(parse(text, Markup()) for text in texts))
    assert slow == align_texts([texts[0]], [texts[1]])[0]


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_text_aligns_or_is_refused(reference, hypothesis):
    try:
        alignment = align_texts([reference], [hypothesis], Markup(True, True))[0]
    except UserError as error:
        assert "\n" not in str(error).replace("\\n", "")
    else:
        assert set(alignment.operations) <= set("CSDI")


def test_folding_is_that_of_ascii():
    assert fold_case("ÄbCİ") == "Äbcİ"
