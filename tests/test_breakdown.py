"""Results broken down: groups of utterances, lists of errors, unknown words; what is written and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omni_asr.bin import run_program, score
from omni_asr.scoring.align import Counts, align
from omni_asr.scoring.bootstrap import read_interval
from omni_asr.scoring.breakdown import (
    by_length,
    by_value,
    frequent_errors,
    unknown_words,
    worst_speakers,
    worst_utterances,
)
from omni_asr.scoring.reports import read_breakdown
from omni_asr.scoring.sclite import Utterance

FILES = {
    "data/text": "a-1 one two three\na-2 four five\nb-1 six\nb-2\n",
    "data/utt2spk": "a-1 a\na-2 a\nb-1 b\nb-2 b\n",
    "data/utt2snr": "a-1 10.5\na-2 -3\nb-1 inf\nb-2 inf\nz-9 4\n",
    "data/spk2gender": "a f\nb m\n",
    "decode/text": "a-1 one too three\na-2 four\nb-1 six\nb-2 uh\n",
    "train/text": "t-1 ONE two\nt-2\nt-3 four six\n",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*options):
    return run_program(score.main, [*options, "data", "-", "decode"])


def one_line_of(capsys):
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def pair(name, reference, hypothesis, speaker="s"):
    return Utterance(name, speaker, reference, hypothesis, align(reference, hypothesis))


words = st.lists(st.sampled_from("abc"), max_size=7)
values = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True).map(repr),
    st.integers(-3, 12).map(str),
    st.sampled_from(["", "unknown", "1 to 2", "1_0", "clean", "é"]),
)


@given(st.lists(st.tuples(words, words, values), max_size=40))
def test_every_utterance_lands_in_one_group(drawn):
    utterances = [pair(f"u{index}", left, right) for index, (left, right, _) in enumerate(drawn)]
    for groups in (by_length(utterances), by_value(utterances, [value for _, _, value in drawn])):
        assert sorted(u.id for group in groups.values() for u in group) == sorted(u.id for u in utterances)
        assert all(groups.values())
        sums = [sum((u.counts for u in group), Counts()) for group in groups.values()]
        assert sum(sums, Counts()) == sum((u.counts for u in utterances), Counts())


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=200))
def test_bins_are_ordered_and_about_equally_full(numbers):
    utterances = [pair(f"u{index}", [], []) for index in range(len(numbers))]
    number_of = {u.id: number for u, number in zip(utterances, numbers, strict=True)}
    bins = [[number_of[u.id] for u in group] for group in by_value(utterances, list(map(repr, numbers))).values()]
    assert 1 <= len(bins) <= 5
    assert all(max(left) < min(right) for left, right in zip(bins, bins[1:], strict=False))
    if len(set(numbers)) == len(numbers) >= 10:
        assert len(bins) == 5 and max(map(len, bins)) - min(map(len, bins)) <= 1


def test_names_of_groups():
    utterances = [pair(f"u{index}", [], []) for index in range(8)]
    found = by_value(utterances, ["10", "9.50", "nan", "a|b", "9.50", "-inf", "2", "a|b"])
    assert {name: len(group) for name, group in found.items()} == {
        "2": 1, "9.50": 2, "10": 1, "-inf": 1, "a|b": 2, "nan": 1,
    }  # fmt: skip
    assert list(found) == ["2", "9.50", "10", "-inf", "a|b", "nan"]
    assert list(by_value(utterances, list("12345678"))) == ["1 to 2", "3 to 4", "5", "6 to 7", "8"]
    close = [str(1_000_000 + index) for index in range(8)]
    assert list(by_value(utterances, close))[0] == "1000000 to 1000001", "numbers stand as they were written"
    assert {name: len(group) for name, group in by_value(utterances, ["7"] * 8).items()} == {"7": 8}


def test_tables_of_groups(folder):
    assert run("--by", "length", "--by", "utt2snr", "--by=spk2gender") == 0
    heads, rows = read_breakdown("decode/scoring/by_length.md")
    assert heads == "words Snt Wrd Corr Sub Del Ins Err S.Err".split() + ["Err 95 %", "CER"]
    assert rows == [
        ["0", "1", "0", "0*", "0*", "0*", "1*", "1*", "100.0", "-", "2*"],
        ["1", "1", "1", "100.0", "0.0", "0.0", "0.0", "0.0", "0.0", "-", "0.0"],
        ["2", "1", "2", "50.0", "0.0", "50.0", "0.0", "50.0", "100.0", "-", "55.6"],
        ["3", "1", "3", "66.7", "33.3", "0.0", "0.0", "33.3", "100.0", "-", "7.7"],
    ]
    text = (folder / "decode/scoring/by_length.md").read_text()
    assert text.startswith("Scoring regime: verbatim\n") and "* counts, since there is no reference word" in text
    heads, rows = read_breakdown("decode/scoring/by_utt2snr.md")
    assert heads[0] == "utt2snr" and [row[:3] for row in rows] == [
        ["-3", "1", "2"],
        ["10.5", "1", "3"],
        ["inf", "2", "1"],
    ]
    assert rows[2][9] == "-", "one speaker, in a set of two"
    heads, rows = read_breakdown("decode/scoring/by_spk2gender.md")
    assert heads[0] == "spk2gender" and [row[0] for row in rows] == ["f", "m"]


@pytest.mark.parametrize("unit", ["utterances", "speakers"])
def test_one_unit_is_drawn_for_all_groups_and_named(folder, unit):
    (folder / "data/utt2all").write_text("".join(f"{name} x\n" for name in ("a-1", "a-2", "b-1", "b-2")))
    assert run("--by", "utt2snr", "--by", "utt2all", "--bootstrap", unit) == 0
    whole = read_interval("decode/scoring/ci")
    assert whole.unit == unit and read_breakdown("decode/scoring/by_utt2all.md")[1][0][9] == str(whole)
    rows = read_breakdown("decode/scoring/by_utt2snr.md")[1]
    one_speaker = {"utterances": "[0.00, inf]", "speakers": "-"}  # of inf: nothing but the wordless utterance
    assert rows[2][9] == one_speaker[unit]
    assert f"\n95 %: over {unit}; " in (folder / "decode/scoring/by_utt2snr.md").read_text()


def test_a_path_and_names_with_bars(folder):
    (folder / "utt2x").write_text("a-1 a|b\na-2 a|b\nb-1 c*\nb-2 c*\n")
    assert run("--by", "./utt2x") == 0
    _, rows = read_breakdown("decode/scoring/by_utt2x.md")
    assert [row[:2] for row in rows] == [["a|b", "2"], ["c*", "2"]]


def test_all_errors_are_listed(folder):
    assert run() == 0
    assert (folder / "decode/scoring/errors").read_text().splitlines() == [
        "Scoring regime: verbatim", "", "Confusions: 1, 1 different", "     1  two -> too", "",
        "Deleted: 1, 1 different", "     1  five", "", "Inserted: 1, 1 different", "     1  uh",
    ]  # fmt: skip


def test_words_that_training_lacks(folder):
    assert run("--train-text", "train/text") == 0
    assert (folder / "decode/scoring/oov").read_text().splitlines() == [
        "%OOV 33.33 [ 2 / 6, 2 different, 1 recognised ]", "Scoring regime: verbatim", "",
        " times  right  word", "     1      0  five", "     1      1  three",
    ]  # fmt: skip
    found = unknown_words([Utterance("u", "s", ["(uh)", "", "B"], ["", "x", "c"], "CCS")], {"uh"})
    assert str(found) == "%OOV 50.00 [ 1 / 2, 1 different, 0 recognised ]"
    assert str(unknown_words([], set())) == "%OOV 0.00 [ 0 / 0, 0 different, 0 recognised ]"


def test_nothing_of_an_earlier_scoring_stays(folder):
    assert run("--by", "length", "--by", "utt2snr", "--train-text", "train/text") == 0
    (folder / "decode/scoring/errors.html").touch()
    assert run("--by", "length") == 0
    left = {path.name for path in (folder / "decode/scoring").iterdir()}
    assert "by_length.md" in left and left.isdisjoint({"by_utt2snr.md", "oov", "errors.html"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--by", "utt2none"], "data/utt2none does not exist"),
        (["--by", "train/text"], "train/text:2: nothing follows 't-2'"),
        (["--by", "utt2snr", "--by", "./data/utt2snr"], "--by utt2snr: given twice; both would write by_utt2snr.md"),
        (["--by", "length", "--by", "length"], "--by length: given twice"),
        (["--by", ".."], "cannot read data/..: Is a directory"),
        (["--by", ""], "--by '': 'length' or a table such as utt2snr was expected"),
        (["--by", "C:\\utt2snr"], "'length' or a table such as utt2snr was expected"),
        (["--by", "."], "'length' or a table such as utt2snr was expected"),
        (["--train-text", "train/none"], "train/none does not exist"),
    ],
)
def test_what_is_refused(folder, capsys, options, message):
    assert run(*options) == 1
    assert message in one_line_of(capsys)
    assert not (folder / "decode/wer").exists()


@pytest.mark.parametrize(
    ("table", "line", "what"), [("utt2snr", "a-1 3", "utterance 'a-2'"), ("spk2gender", "a f", "speaker 'b'")]
)
def test_ids_that_a_table_lacks(folder, capsys, table, line, what):
    (folder / "data" / table).write_text(f"{line}\n")
    assert run("--by", table) == 1
    assert f"data/{table}: {what} of the scored set has no line" in one_line_of(capsys)


def test_segments_of_an_stm_by_tables_of_utterances_and_speakers(folder, capsys):
    (folder / "data/wav.scp").write_text("f-A f.wav\n")
    (folder / "data/segments").write_text("a-1 f-A 0 2\na-2 f-A 2 3\nb-1 f-A 3 4\nb-2 f-A 4 5\n")
    (folder / "data/reco2file_and_channel").write_text("f-A F A\n")
    lines = ["A 0 0.9 one", "A 1 2.4 two", "A 2.4 3.2 x", "else 3.5 4 y", "B 9 10 z"]
    (folder / "stm").write_text("".join(f"f A {line}\n" for line in lines))
    (folder / "ctm").write_text("f A 0.1 0.2 one\n")
    options = ["--stm", "stm", "--ctm", "ctm", "--by", "utt2snr", "--by", "spk2gender"]
    assert run(*options) == 0
    by_snr, by_gender = (read_breakdown(f"decode/scoring/by_{name}.md")[1] for name in ("utt2snr", "spk2gender"))
    assert [row[:2] for row in by_snr] == [["-3", "1"], ["10.5", "2"], ["inf", "1"], ["unknown", "1"]]
    assert [row[:2] for row in by_gender] == [["f", "3"], ["m", "2"]], "an stm's other name is that of its utterance"
    before = (folder / "decode/wer").read_bytes()
    (folder / "data/spk2gender").write_text("a f\n")
    assert run(*options) == 1
    assert "data/spk2gender: speaker 'b' of the scored set has no line" in one_line_of(capsys)
    assert (folder / "decode/wer").read_bytes() == before


def test_segments_of_an_stm_by_length(folder):
    (folder / "stm").write_text("f A a 0 1 one two\nf A a 1 2 (uh) six\n")
    (folder / "ctm").write_text("f A 0 0.2 one\nf A 1.1 0.2 six\n")
    assert run("--stm", "stm", "--ctm", "ctm", "--by", "length", "--train-text", "train/text") == 0
    _, rows = read_breakdown("decode/scoring/by_length.md")
    assert [row[:3] for row in rows] == [["2", "2", "4"]]


def test_which_errors_are_shown():
    made = [
        Utterance("u1", "s1", ["a", "B", "c"], ["a", "x"], "CSD"),
        Utterance("u2", "s1", ["b"], ["X", "y"], "SI"),
        Utterance("u3", "s2", ["b"], ["b"], "C"),
    ]
    found = frequent_errors(made, 5)
    assert found.confusions == [(("b", "x"), 2)]
    assert (found.deletions, found.insertions) == ([("c", 1)], [("y", 1)])
    assert [u.id for u in worst_utterances(made, 5)] == ["u2", "u1"]
    assert [s.name for s in worst_speakers(made, 5)] == ["s1", "s2"]
