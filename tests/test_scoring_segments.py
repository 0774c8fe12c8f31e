"""Segments with times: which words they get, and everything against sclite and hubscr.pl of the installed sctk."""

import os
import random
import re
import shutil
import subprocess

import pytest
from sclite_helpers import SCLITE, STEP, fold_case, marked_text, options_of, sgml_word

from omni_asr.errors import UserError
from omni_asr.kaldi.ctm import Alternation, Token, read_ctm, write_ctm
from omni_asr.kaldi.glm import read_glm
from omni_asr.kaldi.stm import IGNORED, Label, Segment, read_stm, write_stm
from omni_asr.scoring.filters import Filter
from omni_asr.scoring.markup import Markup
from omni_asr.scoring.sclite import by_speaker, report, summary_table
from omni_asr.scoring.segments import HUB, by_time, score_segments

HUBSCR = shutil.which("hubscr.pl") or shutil.which("hubscr.pl", path="/usr/lib/sctk/bin")
needs_sctk = pytest.mark.skipif(SCLITE is None, reason="sctk is not installed (Debian: apt-get install sctk)")
LABELS = [Label("O", "Overall", "Overall"), Label("sw", "Swbd", "Switchboard"), Label("en", "CallHome", "CallHome")]
GLM = """;; test.glm
* case_sensitive = 'F'
UH     => %HESITATION / [ ] __ [ ]
AB     => A B / [ ] __ [ ]
;; INPUT_DEPENDENT_APPLICATION = "ctm"
[C]    => [{ C / A C / @ }] / [ ] __ [ ]
"""


def said(text, begin, end, speaker="s", labels=(), file="f", channel="A"):
    return Segment(file, channel, speaker, begin, end, text, tuple(labels))


def heard(words, begin=0.0, step=1.0, file="f", channel="A"):
    """Words of equal length one after the other."""
    return [Token(file, channel, begin + step * i, step, word) for i, word in enumerate(words.split())]


def outcome(scored):
    return [(u.id, " ".join(u.hypothesis), u.operations) for u in scored.utterances]


def test_words_belong_where_their_middle_lies():
    segments = [said("a b", 0, 2), said("c d", 3, 4.5), said("e", 4.5, 5)]
    scored = score_segments(segments, heard("a b c d e f"))  # the word in the gap goes to the next, the last takes all
    assert outcome(scored) == [("s-000", "a b", "CC"), ("s-001", "c d", "CC"), ("s-002", "e f", "CI")]


def test_the_end_of_a_segment_is_of_single_precision():
    early = score_segments([said("a", 0, 2.3), said("b", 2.3, 9)], [Token("f", "A", 2.2, 0.2, "x")])
    late = score_segments([said("a", 0, 15.67), said("b", 15.67, 99)], [Token("f", "A", 15.57, 0.2, "x")])
    assert [u.hypothesis for u in early.utterances] == [[], ["x"]]
    assert [u.hypothesis for u in late.utterances] == [["x"], []]


def test_what_is_ignored_takes_its_words_along():
    segments = [said("a", 0, 1), said(IGNORED.lower(), 1, 3), said("d", 3, 4, "t")]
    assert outcome(score_segments(segments, heard("a b c d"))) == [("s-000", "a", "C"), ("t-000", "d", "C")]


@pytest.mark.parametrize("mark", ["IGNORETIMESEGMENTINSCORING", "ignoreTimeSegmentInScoring", f"x{IGNORED}y z"])
def test_both_spellings_of_the_mark_are_ignored(mark):
    segments = [said("a", 0, 1), said(mark, 1, 3), said("d", 3, 4)]
    assert outcome(score_segments(segments, heard("a b c d"))) == [("s-000", "a", "C"), ("s-001", "d", "C")]
    assert not said("ignore_timesegment_in_scoring", 0, 1).is_ignored  # sclite takes this one for a word


def test_a_segment_that_ends_before_it_begins_is_scored(tmp_path, caplog):
    segments = [said("a", 0, 1), said("b", 2, 1.6), said("c", 2, 3), said("d", 4, 3)]
    write_stm(tmp_path / "stm", segments)
    assert read_stm(tmp_path / "stm")[0] == segments
    assert f"{tmp_path / 'stm'}:2: the segment ends at 1.6, before it begins at 2 (2 such segments)" in caplog.text
    scored = outcome(score_segments(segments, heard("a b c d")))
    assert scored == [("s-000", "a", "C"), ("s-001", "b", "C"), ("s-002", "c", "C"), ("s-003", "d", "C")]


def test_an_alternation_goes_where_its_latest_middle_lies():
    either = Alternation("f", "A", [heard("x"), heard("b a", 0.0, 1.5)])
    scored = score_segments([said("b a", 0, 2), said("b a", 2, 9)], [either])
    assert outcome(scored) == [("s-000", "", "DD"), ("s-001", "b a", "CC")]
    nothing = Alternation("f", "A", [heard("x"), []])
    assert outcome(score_segments([said("", 0, 2)], [nothing])) == [("s-000", "", "")]


def test_a_channel_without_words_is_deleted_and_reported():
    segments = [said("a", 0, 1), said("b", 0, 1, channel="B"), said("c", 0, 1, file="G")]
    scored = score_segments(segments, heard("a", file="F"))
    assert [u.operations for u in scored.utterances] == ["C", "D", "D"]
    assert scored.missing == [("f", "b"), ("g", "a")]


@pytest.mark.parametrize("word", ["cat;x", "c\\at", "cat;", "cat*;x", "cat;x;y"])
def test_tags_and_backslashes_of_a_ctm_are_no_part_of_its_words(word):
    token = Token("f", "A", 1, 1, word)
    either = Alternation("f", "A", [[token], [Token("f", "A", 1, 1, "dog")]])
    for words in ([token], [either]):
        assert outcome(score_segments([said("the cat", 0, 9)], [*heard("the"), *words])) == [("s-000", "the cat", "CC")]


@pytest.mark.parametrize("word", [";cat", "\\;", "cat\\;", "c;at"])
def test_other_semicolons_of_a_ctm_make_another_word(word):
    scored = score_segments([said("the cat", 0, 9)], [*heard("the"), Token("f", "A", 1, 1, word)])
    assert scored.utterances[0].operations == "CS"


def test_words_of_an_unknown_channel_are_an_error():
    stray = Token("f", "C", 0, 1, "a", where="x.ctm:3")
    with pytest.raises(UserError, match="^x.ctm:3: the references have no file 'f' with channel 'C'"):
        score_segments([said("a", 0, 1)], [stray])
    with pytest.raises(UserError, match="^r.stm:9: reference: '{ a': the brace is never closed"):
        score_segments([Segment("f", "A", "s", 0, 1, "{ a", where="r.stm:9")], [])


def random_times(source, words, text):
    """Segments and words of up to three files with one or two channels, sorted."""
    segments, tokens = [], []
    for file in ("en_f", "sw_G", "sw_f")[: source.randint(1, 3)]:
        for channel in ("A", "B")[: source.randint(1, 2)]:
            at = 0.0
            for _ in range(source.randint(1, 8)):
                begin = round(at + source.choice([0, 0, source.randint(1, 20) / 10]), 2)
                at = round(begin + source.randint(0, 30) / 10, 2)
                end = round(begin - 0.3, 2) if source.random() < 0.05 else at
                mark = source.choice([IGNORED, "ignoreTimeSegmentInScoring"])
                said_text = mark if source.random() < 0.15 else text(source, words, source.randint(0, 8))
                labels = ("O", file[:2])[: source.randint(0, 2)]
                speaker = source.choice(["S1", "s1", "S2", "x_y", "Z-q"])
                segments.append(said(said_text, begin, end, speaker, labels, file, channel))
            now = 0.0
            while now < at + 1 and source.random() < 0.98:
                length = source.randint(0, 8) / 20
                branches = [
                    [Token(file, channel, now, length, source.choice(words)) for _ in range(source.randint(1, 3))]
                    for _ in range(source.randint(1, 3) if source.random() < 0.1 else 1)
                ]
                tokens += branches[0][:1] if len(branches) == 1 else [Alternation(file, channel, branches)]
                now = round(now + source.randint(0, 8) / 20, 2)
    return segments, tokens


def run(command, folder):
    path = f"{os.path.dirname(SCLITE)}:{os.environ['PATH']}"
    return subprocess.run(
        command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, encoding="utf-8", check=True
    ).stdout


def steps_of(output):
    """Steps of each path of an SGML report."""
    paths = re.findall(r'<PATH id="\((.*?)\)" .*>\n(.*)\n</PATH>', output)
    timed = re.compile(STEP.pattern.replace("(?::", "(?:,[0-9.+]*)?(?::"))
    return {name: [tuple(map(sgml_word, step)) for step in timed.findall(path)] for name, path in paths}


@needs_sctk
@pytest.mark.parametrize("seed", range(40))
def test_equal_to_sclite(tmp_path, seed):
    source = random.Random(seed)
    letter = source.choice(["é", "e"])
    marked = [
        "a",
        "b",
        "ab",
        "c",
        letter,
        "d-",
        "-d",
        "(a)",
        "(ab-)",
        "@",
        "x*",
        "c;x",
        "c;",
        ";c",
        "a\\b",
        "(a);",
        "c\\;",
    ]
    segments, tokens = random_times(source, marked, lambda s, _, n: marked_text(s, ["a", "b", "ab", "c"], n))
    write_stm(tmp_path / "r.stm", segments, LABELS)
    write_ctm(tmp_path / "h.ctm", tokens)
    add_types(source, tmp_path / "h.ctm")
    markup = Markup(source.random() < 0.7, source.random() < 0.7)
    scored = score_segments(read_stm(tmp_path / "r.stm")[0], read_ctm(tmp_path / "h.ctm"), markup)
    command = [SCLITE, "-r", "r.stm", "stm", "-h", "h.ctm", "ctm", *options_of(markup), "-o"]
    expected = steps_of(run([*command, "sgml", "stdout"], tmp_path))
    found = {}
    for u in scored.utterances:
        left, right = map(fold_case, u.reference), map(fold_case, u.hypothesis)
        found[u.id] = [(c, next(left) if c != "I" else "", next(right) if c != "D" else "") for c in u.operations]
    assert found == expected
    if found and letter.isascii():  # sclite pads by bytes
        printed = run([*command, "all", "stdout"], tmp_path).splitlines()
        start = next(index for index, line in enumerate(printed) if "SYSTEM SUMMARY" in line) - 3
        mine = "".join(report(scored.utterances, "h.ctm")).splitlines()
        assert [line for line in mine if line] == [line for line in printed[start:] if line]


def add_types(source, path):
    """Give some rows of a ctm the type and the speaker of NIST's evaluations."""
    rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        if "*" not in row[2] and source.random() < 0.5:
            types = [source.choice(["lex", "frag", "fp", "non-lex", "noise"]), "speaker"]
            row[5:] = [*(row[5:] or ["NA"]), *types[: source.randint(1, 2)]]
    path.write_text("".join(" ".join(row) + "\n" for row in rows), encoding="utf-8")


@needs_sctk
@pytest.mark.parametrize("seed", range(10))
def test_equal_to_hubscr(tmp_path, seed):
    source = random.Random(seed)
    words = ["a", "b", "ab", "c", "uh", "x-y", "go-", "d", "d;x", "b;", "a\\b", "b\\;"]
    segments, tokens = random_times(source, words, lambda s, w, n: " ".join(s.choice(w) for _ in range(n)))
    segments.append(said("a (uh) b c", 90, 91, labels=("O",), file="sw_f", channel="A"))
    shuffled = segments[:]
    source.shuffle(shuffled)
    write_stm(tmp_path / "r.stm", shuffled, LABELS)
    words_only = [token for token in tokens if isinstance(token, Token)]  # hubscr.pl cannot sort alternations
    write_ctm(tmp_path / "h.ctm", words_only)
    (tmp_path / "g.glm").write_text(GLM, encoding="utf-8")
    reference, labels = read_stm(tmp_path / "r.stm")
    recognised = by_time(read_ctm(tmp_path / "h.ctm"))
    scored = score_segments(
        Filter(read_glm(tmp_path / "g.glm", ("stm", "ref"))).segments(by_time(reference)),
        Filter(read_glm(tmp_path / "g.glm", ("ctm", "hyp"))).tokens(recognised),
        HUB,
    )
    command = [HUBSCR, "-p", os.path.dirname(SCLITE), "-V", "-l", "english", "-h", "hub5", "-g", "g.glm", "-r"]
    run([*command, "r.stm", "h.ctm"], tmp_path)
    speakers, total = by_speaker(scored.utterances)
    for raw, name in ((False, "sys"), (True, "raw")):
        printed = (tmp_path / f"h.ctm.filt.{name}").read_text(encoding="utf-8")
        assert summary_table(speakers, total, "h.ctm", raw).split() == printed.split()
    sums = re.search(r"Set Sum/Avg(.*)", (tmp_path / "h.ctm.filt.lur").read_text(encoding="utf-8"))
    expected = []
    for label in labels:
        group = [u for u, s in zip(scored.utterances, scored.segments, strict=True) if label.id in s.labels]
        counts = by_speaker(group)[1].counts
        expected.append((str(counts.words), f"{int(counts.percent * 10 + 0.5) / 10:.1f}" if counts.words else ""))
    found = re.findall(r"\[(\d+)\] +([\d.]+)", sums[1])
    assert [pair for pair in found if pair[0] != "0"] == [pair for pair in expected if pair[0] != "0"]


def test_nothing_heard_and_all_right():
    segments = [said("a (uh) b", 0, 3), said("", 3, 4)]
    assert outcome(score_segments(segments, [])) == [("s-000", "", "DCD"), ("s-001", "", "")]
    assert outcome(score_segments(segments, heard("a b"))) == [("s-000", "a  b", "CCC"), ("s-001", "", "")]
    assert score_segments([], []).utterances == []
