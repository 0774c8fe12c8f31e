"""trn files: what is written is read back, and says the same to sclite."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omni_asr.errors import UserError
from omni_asr.kaldi.trn import SPECIAL, escape, read_marked_trn, read_trn, unescape, utterance_ids, write_trn
from omni_asr.scoring.markup import split_blanks

WORDS = [
    "a",
    "(uh)",
    "{b}",
    "either/or",
    "@",
    ";;",
    "back\\slash",
    "50%",
    "%28",
    "%2F",
    "%HESITATION",
    "naïve",
    "*",
    "f**",
    "a*b",
    "a\vb",
    "\x00",
    "%0b",
    "\x1c\x7f\r\f",
]


def test_escape_is_reversible_and_keeps_words_apart():
    assert [unescape(escape(word)) for word in WORDS] == WORDS
    assert len({escape(word).lower() for word in WORDS}) == len(WORDS)
    assert not set("".join(map(escape, WORDS))) & set(SPECIAL)
    assert escape("50%") == "50%" and escape("%HESITATION") == "%HESITATION"


letters = st.characters(codec="utf-8", exclude_characters=" \t\n")


@given(st.lists(st.text(letters | st.sampled_from("%;*\v\0(0b"), min_size=1), max_size=5))
def test_any_words_are_read_back(tmp_path_factory, words):
    path = tmp_path_factory.mktemp("trn") / "x.trn"
    write_trn(path, [("s-1", words)])
    assert read_trn(path) == {"s-1": words}
    text = read_marked_trn(path)["s-1"]
    assert not set(text) & set(SPECIAL) and split_blanks(text) == list(map(escape, words))


def test_write_and_read(tmp_path):
    utterances = {"spk-u1": WORDS, "spk-u2": [], "other-u3": ["one"]}
    write_trn(tmp_path / "ref.trn", utterances.items())
    assert read_trn(tmp_path / "ref.trn") == utterances
    assert (tmp_path / "ref.trn").read_text(encoding="utf-8").splitlines()[1:] == [" (spk-u2)", "one (other-u3)"]


def test_read_other_peoples_files(tmp_path):
    (tmp_path / "x.trn").write_bytes(b";; a comment\n\nhow  are\tyou(s_1-a) \r\nAnd/or a(b)\xc2\xa0c (s_1-b)\n")
    assert read_trn(tmp_path / "x.trn") == {"s_1-a": ["how", "are", "you"], "s_1-b": ["And/or", "a(b)\xa0c"]}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("no id here", "no (utterance id)"),
        ("{ uh / um } yes (s-2)", "'{' is markup"),
        ("(uh) yes (s-2)", "'(uh)' is markup"),
        ("@ (s-2)", "'@' is markup"),
        ("twice (s-1)", "utterance (s-1) occurs a second time; ids"),
        ("twice (S-1)", "utterance (S-1) occurs a second time after (s-1), where case does not count; ids"),
        ("a ()", "no (utterance id)"),
        ("a ( )", "no (utterance id)"),
    ],
)
def test_bad_lines_are_named(tmp_path, line, message):
    (tmp_path / "x.trn").write_text(f"fine (s-1)\n{line}\n", encoding="utf-8")
    with pytest.raises(UserError) as error:
        read_trn(tmp_path / "x.trn")
    assert f"x.trn:2: {message}" in str(error.value)


def test_ids_keep_speakers_and_utterances_apart():
    ids = utterance_ids(
        [("a-b-1", "a-b"), ("a_b-1", "a_b"), ("A-B-1", "A-B"), ("a-b-2", "a-b"), ("X", "(s)"), ("x", "(s)")]
    )
    assert ids["a-b-1"] == "a_b-a-b-1" and ids["a-b-2"] == "a_b-a-b-2"
    speakers = [name.split("-")[0].lower() for name in ids.values()]
    assert len(set(speakers)) == 4
    assert len({name.lower() for name in ids.values()}) == 6
    assert ids["X"] == "%28s%29-X" and ids["x"] == "%28s%29-x~2"


def test_markup_is_kept_where_it_is_meant(tmp_path):
    (tmp_path / "x.trn").write_text(";; c\n{ uh / @ } (yes) i- (s-1)\n(s-2)\n", encoding="utf-8")
    assert read_marked_trn(tmp_path / "x.trn") == {"s-1": "{ uh / @ } (yes) i- ", "s-2": ""}
    (tmp_path / "x.trn").write_text("a (s-1)\nb (s-1)\n", encoding="utf-8")
    with pytest.raises(UserError, match="x.trn:2: utterance .s-1. occurs a second time"):
        read_marked_trn(tmp_path / "x.trn")
