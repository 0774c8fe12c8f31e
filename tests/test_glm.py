"""Global maps: how rules are read and applied, by hand and against csrfilt of the installed sctk."""

import os
import random
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sclite_helpers import SCLITE

from omni_asr.errors import UserError
from omni_asr.kaldi.ctm import Alternation, Token, read_ctm, write_ctm
from omni_asr.kaldi.glm import GlobalMap, Rule, read_glm, write_glm
from omni_asr.kaldi.stm import Segment, read_stm, write_stm
from omni_asr.scoring.filters import Filter

CSRFILT = shutil.which("csrfilt.sh") or shutil.which("csrfilt.sh", path="/usr/lib/sctk/bin")
needs_sctk = pytest.mark.skipif(CSRFILT is None, reason="sctk is not installed (Debian: apt-get install sctk)")

GLM = """;; demo.glm
* name "demo.glm"
* desc "a format of rules"
* format = 'NIST1'
* max_nrules = '100'
* copy_no_hit = 'T'
* case_sensitive = 'F'

;; backchannels
UH-HUH    => %BCACK       / [ ] __ [ ] ;; affirmative
UH        => %HESITATION  / [ ] __ [ ]
[GONNA]   => [GOING TO]   / [ ] __ [ ]
'CAUSE    => BECAUSE ;; also inside of words
BINYAMIN  => BENJAMIN / __ [ NETANYAHU]
FALKNER   => FAULKNER / [WILLIAM ] __  ;; the writer
FUNDRAIS  => FUND RAIS
WAR TIME  => WARTIME / [ ] __ [ ]
DEL       => [] / [ ] __ [ ]
NUL       => @ / [ ] __ [ ]
FIRST     => ONE / [ ] __ [ ]
FIRST     => TWO / [ ] __ [ ]
" OK "    => " OKAY "
;; INPUT_DEPENDENT_APPLICATION = "ctm"
[HE'S]    => [{HE'S / HE IS / HE HAS}] / [ ] __ [ ]
;; INPUT_DEPENDENT_APPLICATION = "ref"
REFONLY   => REF YES
;; INPUT_DEPENDENT_APPLICATION = "(stm|trn)"
STMX      => STM YES
"""
CASES = [  # text, filtered as the reference, by csrfilt -dh -i stm -t ref
    ("uh-huh he's gonna go 'cause he", "%BCACK HE'S GOING TO GO BECAUSE HE"),
    (
        "Binyamin netanyahu binyamin foo william falkner falkner",
        "BENJAMIN NETANYAHU BINYAMIN FOO WILLIAM FAULKNER FALKNER",
    ),
    ("(uh) uh-uh (uh gonna) fundraiser", "(%HESITATION) UH UH (%HESITATION) (GOING) (TO) FUND RAISER"),
    ("del a del del nul first", "A @ ONE"),
    ("ok a ok ok", "OKAY A OKAY OK"),
    ("war time war  time wartime", "WARTIME WARTIME WARTIME"),
    ("state-of-the-art go- -ing (half-way-)", "STATE OF THE ART GO- -ING (HALF) (WAY-)"),
    ("refonly stmx x", "REF YES STM YES X"),
    ("{ gonna / uh } x", "{ GOING TO / %HESITATION } X"),
    ("é É", "é É"),
    ("", ""),
]


@pytest.fixture
def demo(tmp_path):
    (tmp_path / "demo.glm").write_text(GLM, encoding="utf-8")
    return tmp_path / "demo.glm"


@pytest.mark.parametrize(("text", "filtered"), CASES)
def test_every_form_of_rule(demo, text, filtered):
    assert Filter(read_glm(demo, ("stm", "ref"))).text(text) == filtered


def test_what_applies_depends_on_the_input(demo):
    ctm = Filter(read_glm(demo, ("ctm", "hyp")))
    assert ctm.text("he's refonly stmx") == "{HE'S / HE IS / HE HAS} REFONLY STMX"
    assert len(read_glm(demo).rules) == 13


def test_words_of_a_ctm_share_their_time(demo):
    def token(word, begin=1.0, duration=0.3):
        return Token("f", "A", begin, duration, word, 0.5)

    ctm = Filter(read_glm(demo, ("ctm", "hyp")))
    assert ctm.tokens([token("gonna"), token("del"), token("well-known")]) == [
        token("GOING", 1.0, 0.15),
        token("TO", 1.15, 0.15),
        token("WELL", 1.0, 0.15),
        token("KNOWN", 1.15, 0.15),
    ]
    branches = [[token("HE'S")], [token("HE", 1.0, 0.15), token("IS", 1.15, 0.15)]]
    (either,) = ctm.tokens([token("he's")])
    assert either.branches[:2] == branches and len(either.branches) == 3
    with pytest.raises(UserError, match="becomes an alternation inside an alternation"):
        ctm.tokens([Alternation("f", "A", [[token("he's")], []])])


# (a line, a text, the text filtered by rfilter1): readings that surprise
READINGS = [
    ("A =>B", " a c ", "c"),
    ("A =>B C", " a c ", "C c"),
    ("A=> B", " a c ", "B c"),
    ("A => / [ ] __ [ ]", " a c ", "c"),
    ("A => B / C", " a c ", "B c"),
    ("A => B / __[ ]", " a c ", "a c"),
    ("A => B /[ ]__[ ]", " a c ", "a c"),
    ("A => B / X __ Y", " xay x a y ", "xBy x a y"),
    ('[A] => "B" / " " __ " "', " a c ", "B c"),
    ("a => b ; c", " a c ", "b ; c c"),
    ("[ A ] => [ B ]", " a a a ", "B a B"),
    ("A A => B", " a a a ", "B a"),
    ("FOO => BAR / [ ] __ [S ]", " foo foos ", "foo BARs"),
    ("A_B => X_Y / [ ] __ [ ]", " a_b ", "X_Y"),
    ("A => B/C_D", " a ", "B"),
    ("[A => B]", " [a ", "B]"),
    ("A => B => C", " a ", "B => C"),
    ("=> B", " a ", "a"),
    ("* copy_no_hit = 'F'\nA => B", " a c a", "BB"),
    ("* case_sensitive = 'T'\nA => B", " a A ", "a B"),
]


@pytest.mark.parametrize(("rules", "text", "filtered"), READINGS)
def test_readings_that_surprise(tmp_path, rules, text, filtered):
    (tmp_path / "x.glm").write_text(f";; x\n* case_sensitive = 'F'\n{rules}\n", encoding="utf-8")
    assert Filter(read_glm(tmp_path / "x.glm"), upper=False, split_hyphens=False).text(text) == filtered
    rfilter = CSRFILT and shutil.which("rfilter1", path=os.path.dirname(CSRFILT))
    if rfilter:
        done = subprocess.run([rfilter, tmp_path / "x.glm"], input=text + "\n", capture_output=True, encoding="utf-8")
        assert " ".join(done.stdout.split()) == filtered


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x.glm is empty"),
        ("* name 'x'\n", "x.glm:1: the first line must be a comment"),
        ("A => B\n", "x.glm:1: the first line must be a comment"),
        (";;\nA B\n", "x.glm:2: no '=>' in 'A B'"),
        (";;\n* copy_no_hit\n", "x.glm:2: a setting without a value in quotes"),
        (";;\n* case_sensitive = 'no'\n", "x.glm:2: case_sensitive is 'T' or 'F', not 'no'"),
        (";;\n* format = 'NIST2'\n", "x.glm:2: format 'NIST2'; only NIST1 is known"),
        (';;\n;; INPUT_DEPENDENT_APPLICATION = "("\n', "x.glm:2: '(' is no regular expression"),
    ],
)
def test_broken_lines_are_named(tmp_path, text, message):
    (tmp_path / "x.glm").write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as error:
        read_glm(tmp_path / "x.glm", ["stm"])
    assert message in str(error.value)


@pytest.mark.parametrize("text", ["(a", "a)", "((a) b)", ") a ("])
def test_parentheses_must_pair(demo, text):
    with pytest.raises(UserError, match="x.stm:7: .*parentheses must pair"):
        Filter(read_glm(demo)).segments([Segment("f", "A", "s", 0, 1, text, where="x.stm:7")])


plain = st.text(st.characters(codec="utf-8", categories=["Ll", "Lu"]), min_size=1, max_size=6)
rules = st.lists(st.builds(Rule, plain, plain, plain | st.just(" "), plain | st.just("")), max_size=5)


@given(st.builds(GlobalMap, rules, st.booleans(), st.booleans()))
def test_rules_are_read_back(tmp_path_factory, glm):
    path = tmp_path_factory.mktemp("glm") / "x.glm"
    write_glm(path, glm, "x.glm")
    assert read_glm(path) == glm


@given(
    st.binary(max_size=60)
    | st.lists(st.sampled_from([";;", "A", "=>", "/", "__", "[ ]", "{", "*", "'", "\n"])).map(" ".join).map(str.encode)
)
def test_any_bytes_are_read_or_refused_in_one_line(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("glm") / "x.glm"
    path.write_bytes(data)
    try:
        Filter(read_glm(path, ["stm"])).text("a b")
    except UserError as error:
        assert str(error).startswith(str(path)) and "\n" not in str(error)


WORDS = [
    "uh",
    "uh-huh",
    "gonna",
    "he's",
    "i'm",
    "a",
    "b",
    "ab",
    "'cause",
    "well-known",
    "go-",
    "-ing",
    "x",
    "%uh",
    "éa",
]


def random_phrase(source, longest):
    return " ".join(source.choice(WORDS) for _ in range(source.randint(1, longest)))


def random_rule(source):
    left = source.choice([str, str.upper])(random_phrase(source, 2))
    if source.random() < 0.15:
        left = left[: source.randint(1, len(left))].strip()
    right = source.choice(
        [random_phrase(source, 3).upper(), "", "@", f"{{ {random_phrase(source, 2)} / {random_phrase(source, 1)} }}"]
    )
    word = source.choice(WORDS)
    contexts = [" / [ ] __ [ ]"] * 4 + [f" / __ [ {word}]", f" / [{word} ] __", " / [ ] __", f" / {word} __ {word}"]
    context = source.choice(contexts if "/" in right else [*contexts, ""])
    form = source.choice(["[{}]", '"{}"', "[ {} ]", "{}", "{}"])
    return f"{form.format(left)}  => {form.format(right)}{context}{source.choice(['', ' ;; why'])}"


def random_text(source):
    words = []
    for _ in range(source.randint(0, 12)):
        word = source.choice([str.lower, str.upper, str.capitalize])(source.choice(WORDS))
        form = source.choice(["{}"] * 8 + ["({})", "({} a)", "( {} )"])
        words.append(form.format(word))
    return " ".join(words)


def csrfilt(path, *options):
    """What csrfilt makes of a file, written beside it."""
    environment = {**os.environ, "PATH": f"{os.path.dirname(CSRFILT)}:{os.environ['PATH']}"}
    command = [CSRFILT, *options, "r.glm"]
    done = subprocess.run(
        command, cwd=path.parent, env=environment, stdin=open(path, "rb"), capture_output=True, check=True
    )
    filtered = path.with_name("filtered")
    filtered.write_bytes(done.stdout)
    return filtered


@needs_sctk
@pytest.mark.parametrize("seed", range(12))
def test_equal_to_csrfilt_on_random_rules(tmp_path, seed):
    source = random.Random(seed)
    rules = [random_rule(source) for _ in range(source.randint(2, 12))]
    kind = source.choice(["ctm", "stm", "hyp", "ref", "(stm|hyp)"])
    rules.insert(source.randint(1, len(rules)), f';; INPUT_DEPENDENT_APPLICATION = "{kind}"')
    lines = [";; r", "* copy_no_hit = 'T'", f"* case_sensitive = '{source.choice('TF')}'", *rules, ""]
    (tmp_path / "r.glm").write_text("\n".join(lines), encoding="utf-8")
    upper, split = source.random() < 0.8, source.random() < 0.7
    options = ["-dh"] * split + ["-s"] * (not upper)

    segments = [Segment("f", "A", "s", i, i + 1, random_text(source), ("O",)) for i in range(100)]
    write_stm(tmp_path / "stm", segments)
    expected = read_stm(csrfilt(tmp_path / "stm", *options, "-i", "stm", "-t", "ref"))[0]
    assert Filter(read_glm(tmp_path / "r.glm", ("stm", "ref")), upper, split).segments(segments) == expected

    confidence = source.choice([None, 0.25])
    words = [Token("f", "A", round(i * 0.37, 2), 0.25, source.choice(WORDS), confidence) for i in range(100)]
    write_ctm(tmp_path / "ctm", words)
    expected = read_ctm(csrfilt(tmp_path / "ctm", *options, "-i", "ctm", "-t", "hyp"))
    expected = [token for token in expected if getattr(token, "word", "") != "0.25"]  # a deleted word, see Filter
    assert Filter(read_glm(tmp_path / "r.glm", ("ctm", "hyp")), upper, split).tokens(words) == expected


@needs_sctk
def test_every_form_of_rule_is_csrfilts(demo):
    demo.rename(demo.with_name("r.glm"))
    write_stm(
        demo.with_name("stm"), [Segment("f", "A", "s", i, i + 1, text, ("O",)) for i, (text, _) in enumerate(CASES)]
    )
    found = read_stm(csrfilt(demo.with_name("stm"), "-dh", "-i", "stm", "-t", "ref"))[0]
    assert [segment.text for segment in found] == [filtered for _, filtered in CASES]


def test_sclite_and_csrfilt_come_together():
    assert (CSRFILT is None) == (SCLITE is None)


def test_rules_whose_braces_do_not_pair_are_left_out(tmp_path, caplog):
    lines = [
        "I'M => { I AM / I'M }",
        "[ann's => [{ann's / ann is / ann has}",
        "[x's] => [{x is / {x has / x's}] / [ ] __",
    ]
    (tmp_path / "glm").write_text("\n".join([";; x", *lines, "A => B", ""]), encoding="utf-8")
    assert read_glm(tmp_path / "glm").rules == [Rule("A", "B")]
    for number in (2, 3, 4):
        assert f"{tmp_path / 'glm'}:{number}: the braces of" in caplog.text
    assert "needs a context" in caplog.text


def test_a_map_in_latin_1(tmp_path):
    (tmp_path / "glm").write_bytes(";; é\nschnÖder => schnoeder\n".encode("latin-1"))
    assert read_glm(tmp_path / "glm").rules == [Rule("schnÖder", "schnoeder")]


def test_a_rule_that_rewrites_nothing_is_told(tmp_path, caplog):
    (tmp_path / "glm").write_text(";; x\n=> C / [ ] __ [ ]\nA => B\n", encoding="utf-8")
    assert read_glm(tmp_path / "glm").rules == [Rule("A", "B")]
    assert f"{tmp_path / 'glm'}:2: nothing stands before '=>'" in caplog.text
