"""stm and ctm files: what is written is read back, and every broken line is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omni_asr.errors import UserError
from omni_asr.kaldi.ctm import Alternation, Token, read_ctm, write_ctm
from omni_asr.kaldi.stm import Label, Segment, read_stm, write_stm

STM = """;; LABEL "O" "Overall" "Overall"
;; LABEL "sw" "Swbd" "Switchboard calls"
;; anything

sw_1 A sw_1_A 12.34 15.67 <O,sw>  WELL (%HESITATION) { A / @ }
sw_1 A sw_1_A 15.67 17 <O> ignore_time_segment_in_scoring\r
sw_1\tB x 0 1
t 1 t 3.5 4 no label <here>
"""
CTM = """;; words
f A 0.1 0.2 one 0.98
f A 0.3 .2 two NA

f A * * <ALT_BEGIN>
f A 0.5 0.1 a
f A 0.6 0.1 b
f A * * <alt>
f A * * <ALT_END>
"""


def test_read_stm(tmp_path):
    (tmp_path / "stm").write_text(STM, encoding="utf-8")
    segments, labels = read_stm(tmp_path / "stm")
    assert labels == [Label("O", "Overall", "Overall"), Label("sw", "Swbd", "Switchboard calls")]
    assert segments == [
        Segment("sw_1", "A", "sw_1_A", 12.34, 15.67, "WELL (%HESITATION) { A / @ }", ("O", "sw")),
        Segment("sw_1", "A", "sw_1_A", 15.67, 17.0, "ignore_time_segment_in_scoring", ("O",)),
        Segment("sw_1", "B", "x", 0.0, 1.0, ""),
        Segment("t", "1", "t", 3.5, 4.0, "no label <here>"),
    ]
    assert [segment.is_ignored for segment in segments] == [False, True, False, False]
    assert segments[0].where == f"{tmp_path / 'stm'}:5"


def test_read_ctm(tmp_path):
    (tmp_path / "ctm").write_text(CTM, encoding="utf-8")
    one, two, either = read_ctm(tmp_path / "ctm")
    assert (one, two) == (Token("f", "A", 0.1, 0.2, "one", 0.98), Token("f", "A", 0.3, 0.2, "two"))
    assert either == Alternation("f", "A", [[Token("f", "A", 0.5, 0.1, "a"), Token("f", "A", 0.6, 0.1, "b")], []])
    assert (either.begin, either.middle) == (0.5, 0.65)


def test_type_and_speaker_of_a_ctm_are_passed_over(tmp_path):
    (tmp_path / "ctm").write_text("f A 0 1 one 0.5 frag\nf A 1 1 two NA noise s1\nf A 2 1 three 1 lex s2\n")
    words = [Token("f", "A", 0, 1, "one", 0.5), Token("f", "A", 1, 1, "two"), Token("f", "A", 2, 1, "three", 1.0)]
    assert read_ctm(tmp_path / "ctm") == words


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("f A s1 9", "expected '<file> <channel> <speaker> <begin> <end> [<labels>] words'"),
        ("f A s12.5", "expected"),
        ("f A s 1 2 <F > hello", "label '<F' must end in '>', without blanks in it"),
        ("f A s 1 2 <O>x hello", "label '<O>x' must end in '>'"),
        ("f A s 1", "expected '<file> <channel> <speaker> <begin> <end> [<labels>] words'"),
        ("f A s one 2 x", "time 'one' is not a number"),
        ("f A s 1 nan x", "time 'nan' is not a number"),
        ("f A s 1_0 20 x", "time '1_0' is not a number"),
        ("f A s 1 2 <O,q> x", "label 'q' is not declared"),
    ],
)
def test_broken_stm_lines_are_named(tmp_path, line, message):
    (tmp_path / "stm").write_text(f';; LABEL "O" "" ""\nf A s 0 1 fine\n{line}\n', encoding="utf-8")
    with pytest.raises(UserError) as error:
        read_stm(tmp_path / "stm")
    assert f"{tmp_path / 'stm'}:3: {message}" in str(error.value)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("f A 1 2", ":1: expected '<file> <channel> <begin> <duration> <word> [<confidence> [<type> [<speaker>]]]'"),
        ("f A 1 2 w 0.5 lex s x", ":1: expected"),
        ("f A * 2 w", ":1: time '*' is not a number"),
        ("f A 1 -2 w", ":1: the duration -2 is negative"),
        ("f A 1 2 w high", ":1: confidence 'high' is not a number"),
        ("f A * * <ALT_BEGIN>\nf A 1 2 w", ":1: the alternation has no <ALT_END>"),
        ("f A * * <ALT>", ":1: <ALT> without an open alternation"),
        ("f A * * <ALT_BEGIN>\nf A * * <ALT_BEGIN>", ":2: <ALT_BEGIN> inside an alternation"),
        ("f A * * <ALT_BEGIN>\nf A * * <ALT_END>", ":1: an alternation without words"),
        ("f A * * <ALT_BEGIN>\nf B 1 2 w", ":2: another file or channel"),
    ],
)
def test_broken_ctm_lines_are_named(tmp_path, lines, message):
    (tmp_path / "ctm").write_text(lines + "\n", encoding="utf-8")
    with pytest.raises(UserError) as error:
        read_ctm(tmp_path / "ctm")
    assert f"{tmp_path / 'ctm'}{message}" in str(error.value)


names = st.text(st.characters(codec="utf-8", exclude_characters=" \t\r\n;<"), min_size=1, max_size=5)
times = st.floats(0, 1e6)
tokens = st.builds(Token, st.just("f"), st.just("A"), times, times, names, st.none() | st.floats(0, 1))


@given(st.lists(st.builds(Segment, names, names, names, st.floats(0, 10), st.floats(10, 20), names)))
def test_stm_is_read_back(tmp_path_factory, segments):
    path = tmp_path_factory.mktemp("stm") / "stm"
    write_stm(path, segments, [Label("O", "a", "b c")])
    assert read_stm(path) == (segments, [Label("O", "a", "b c")])


branches = st.lists(st.lists(tokens, max_size=2), min_size=1, max_size=3).filter(any)


@given(st.lists(tokens | st.builds(Alternation, st.just("f"), st.just("A"), branches)))
def test_ctm_is_read_back(tmp_path_factory, words):
    path = tmp_path_factory.mktemp("ctm") / "ctm"
    write_ctm(path, words)
    assert read_ctm(path) == words


def test_words_that_look_like_labels_are_told(tmp_path, caplog):
    (tmp_path / "stm").write_text("f A s 0 1 <unk> hello\nf A s 1 2 <> <unk> a\nf A s 2 3 <F,M> b\n", encoding="utf-8")
    segments, _ = read_stm(tmp_path / "stm")
    assert [(s.text, s.labels) for s in segments] == [("hello", ("unk",)), ("<unk> a", ()), ("b", ("F", "M"))]
    assert f"{tmp_path / 'stm'}:1: <unk> and 1 more are read as labels" in caplog.text
    write_stm(tmp_path / "stm", segments)
    assert read_stm(tmp_path / "stm")[0] == segments


def test_a_ctm_line_that_is_no_comment_is_told(tmp_path, caplog):
    (tmp_path / "ctm").write_text(";; fine\n;x A 0 1 a\nf A 0 1 b\n", encoding="utf-8")
    assert [token.word for token in read_ctm(tmp_path / "ctm")] == ["b"]
    assert f"{tmp_path / 'ctm'}:2: a line that begins with ';' is no row" in caplog.text and ":1:" not in caplog.text


stm_lines = st.lists(
    st.sampled_from(["f", "A", "s", "1", "9", "1.5", "12", "s1", "<O>", "<", "x"]) | st.sampled_from([" ", "\t", "  "])
).map("".join)


@given(stm_lines)
def test_an_accepted_stm_line_has_its_fields(tmp_path_factory, line):
    path = tmp_path_factory.mktemp("line") / "stm"
    path.write_text(line + "\n", encoding="utf-8")
    try:
        segments, _ = read_stm(path)
    except UserError:
        return
    fields = line.split()
    assert len(segments) == bool(fields)
    for segment in segments:
        assert len(fields) >= 5 and [segment.file, segment.channel, segment.speaker] == fields[:3]
        assert [segment.begin, segment.end] == list(map(float, fields[3:5]))
        labels = [f"<{','.join(segment.labels)}>"] if segment.labels else fields[5:6] if "<>" in fields[5:6] else []
        assert [*labels, *segment.text.split()] == fields[5:]


near = st.lists(
    st.sampled_from(
        ["f A s 1 2", " <O> x", "f A 1 2 w", "f A * * <ALT_BEGIN>", "<ALT>", " ", "\n", ";;", "é", "{", "1e999"]
    )
).map(" ".join)


@given(st.binary(max_size=80) | near.map(str.encode))
def test_any_bytes_are_read_or_refused_in_one_line(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "file"
    path.write_bytes(data)
    for read in (read_stm, read_ctm):
        try:
            read(path)
        except UserError as error:
            assert str(error).startswith(f"{path}:") and "\n" not in str(error)
