"""The score program with --stm, --glm, --ctm, --subset and --regime, and what it refuses."""

import json
import sys
import types

import pytest

from omni_asr.bin import run_program, score
from omni_asr.errors import UserError
from omni_asr.kaldi.ctm import Token, read_ctm
from omni_asr.kaldi.data_dir import DataDir
from omni_asr.kaldi.data_dir import Segment as Part
from omni_asr.kaldi.stm import read_stm
from omni_asr.scoring.decoded import decoded_tokens
from omni_asr.scoring.per_utt import read_per_utterance, read_utterances
from omni_asr.scoring.regimes import SUFFIXES
from omni_asr.scoring.significance import TESTS, matched_pairs
from omni_asr.text.whisper_english import whisper_normalizer, without_markup

STM = """;; LABEL "O" "Overall" "Overall"
sw_1 A sw_1_A 1.0 3.0 <O> (%HESITATION) WE ARE GOING TO GO
sw_1 A sw_1_A 3.0 5.0 <O> IGNORE_TIME_SEGMENT_IN_SCORING
en_2 B en_2_B 0.0 2.0 <O> UH-HUH YES
"""
GLM = """;; demo.glm
* case_sensitive = 'F'
UH-HUH => %BCACK / [ ] __ [ ]
UH     => %HESITATION / [ ] __ [ ]
;; INPUT_DEPENDENT_APPLICATION = "ctm"
WE'RE  => [{WE ARE / WE WERE}] / [ ] __ [ ]
GONNA  => [GOING TO] / [ ] __ [ ]
"""
TABLES = {
    "data/wav.scp": "sw_1-A a.wav\nen_2-B b.wav\n",
    "data/segments": "u1 sw_1-A 1.0 3.0\nu2 sw_1-A 3.0 5.0\nu3 en_2-B 0.0 2.0\n",
    "data/reco2file_and_channel": "sw_1-A sw_1 A\nen_2-B en_2 B\n",
    "data/text": "u1 we are\n",
    "data/utt2spk": "u1 s\nu2 s\nu3 t\n",
    "decode/text": "u1 we're gonna go\nu2 noise\nu3 uh-huh\n",
    "stm": STM,
    "glm": GLM,
}
ARGUMENTS = ["--stm", "stm", "--glm", "glm", "--subset", "swbd=sw_", "--subset", "callhm=en_", "data", "-", "decode"]


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    for name, text in TABLES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_hub5_protocol(corpus, capsys):
    assert run_program(score.main, ARGUMENTS) == 0
    line = "%WER 12.50 [ 1 / 8, 0 ins, 1 del, 0 sub ]"
    assert capsys.readouterr().out == line + " glm\n"
    decode = corpus / "decode"
    lines = (decode / "wer").read_text().splitlines()
    assert lines[:3] == [line, "%SER 50.00 [ 1 / 2 ]", "Scored 2 sentences, 0 not present in hyp."]
    assert lines[-1] == "Scoring regime: glm"
    assert (decode / "scoring/wer_swbd").read_text().startswith("%WER 0.00 [ 0 / 6, ")
    assert (decode / "scoring/wer_callhm").read_text().startswith("%WER 50.00 [ 1 / 2, ")
    assert (decode / "scoring_kaldi/best_wer").read_text() == f"{line} decode/wer\n"
    result = (decode / "scoring/result.md").read_text()
    assert result.startswith(
        "Scoring regime: glm\n\n| set | Snt | Wrd | Corr | Sub | Del | Ins | Err | S.Err | Err 95 % |\n"
    )
    assert "| swbd | 1 | 6 | 100.0 | 0.0 | 0.0 | 0.0 | 0.0 | 0.0 |" in result
    assert "hyp.ctm (glm)" in (decode / "scoring/result.txt").read_text()
    assert len(read_stm(decode / "scoring/ref.stm")[0]) == 3 and len(read_ctm(decode / "scoring/hyp.ctm")) == 6
    first = next(u for u in read_per_utterance(decode / "scoring/per_utt") if u.id == "sw_1_a-000")
    assert (first.reference[0], first.hypothesis[0], first.operations) == ("(%HESITATION)", "", "CCCCCC")
    assert (decode / "cer").read_text().startswith("%CER ")


def test_a_recording_without_a_channel(corpus, capsys):
    (corpus / "data/reco2file_and_channel").write_text("sw_1-A sw_1\nen_2-B en_2 B\n")
    assert run_program(score.main, ARGUMENTS) == 1
    assert "data/reco2file_and_channel:1: expected '<recording> <file> <channel>'" in capsys.readouterr().err


def test_without_a_glm_words_are_what_they_are(corpus, capsys):
    assert run_program(score.main, ["--stm", "stm", "data", "-", "decode"]) == 0
    assert capsys.readouterr().out == "%WER 62.50 [ 5 / 8, 0 ins, 3 del, 2 sub ] verbatim\n"
    assert "Scoring regime: verbatim" in (corpus / "decode/wer").read_text()


def test_a_glm_without_times_rewrites_both_texts(corpus, capsys):
    (corpus / "data/text_glm").write_text("u1 uh-huh we're here\nu2 a well-known\nu3\n")
    (corpus / "data/text").write_text("u1 not read\n")
    (corpus / "decode/text").write_text("u1 UH-HUH we're here\nu2 a well known\nu3 uh\n")
    assert run_program(score.main, ["--glm", "glm", "data", "-", "decode"]) == 0
    assert capsys.readouterr().out == "%WER 16.67 [ 1 / 6, 1 ins, 0 del, 0 sub ] glm\n"
    assert (corpus / "decode/wer").read_text().endswith("Scoring regime: glm\n")
    assert (corpus / "decode/scoring/ref.trn").read_text().startswith("%BCACK WE'RE HERE (s-")


@pytest.mark.parametrize(
    ("reference", "hypothesis", "errors"),
    [
        ("hello world", "hello ) world", "[ 1 / 2, 1 ins,"),
        ("hello x world", "hello {x} world", "[ 1 / 3, 0 ins, 0 del, 1 sub"),
        ("(uh {x} a) /", "(UH {x} b) /", "[ 1 / 4, 0 ins, 0 del, 1 sub"),
        ("uh-huh (a", "%bcack (b", "[ 1 / 2, 0 ins, 0 del, 1 sub"),
    ],
)
def test_marks_in_words_mean_nothing_to_a_glm_without_times(corpus, reference, hypothesis, errors):
    (corpus / "data/text").write_text(f"u1 {reference}\n")
    (corpus / "decode/text").write_text(f"u1 {hypothesis}\n")
    assert run_program(score.main, ["--glm", "glm", "data", "-", "decode"]) == 0
    assert errors in (corpus / "decode/wer").read_text()
    assert read_utterances("decode/scoring")[0].given == reference.upper().replace("UH-HUH", "%BCACK")


def test_what_a_glm_without_times_cannot_do(corpus, capsys):
    (corpus / "glm").write_text(";; demo\n[HERE] => [{HERE / HEAR}] / [ ] __ [ ]\n")
    message = "glm: alternatives need --stm; utterance u1 becomes '(A {HERE / HEAR}'"
    for folder in ("data", "decode"):
        (corpus / folder / "text").write_text("u1 (a here\n")
    assert run_program(score.main, ["--glm", "glm", "data", "-", "decode"]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_nothing_of_another_protocol_stays(corpus):
    assert run_program(score.main, ARGUMENTS) == 0
    (corpus / "decode/text").write_text("u1 we are\n")
    assert run_program(score.main, ["data", "-", "decode"]) == 0
    names = {path.name for path in (corpus / "decode/scoring").iterdir()}
    assert {"ref.trn", "hyp.trn"} < names and not names & {"ref.stm", "hyp.ctm", "wer_swbd", "wer_O"}


def test_a_channel_that_nothing_was_heard_in(corpus, caplog):
    (corpus / "c.ctm").write_text("sw_1 A 1.5 0.1 we\n")
    assert run_program(score.main, ["--ctm", "c.ctm", *ARGUMENTS]) == 0
    assert (corpus / "decode/scoring/missing_hyps").read_text() == "en_2 b\n"
    assert "without a hypothesis, so that its words count as deleted: 1 of the set (listed in " in caplog.text


@pytest.mark.parametrize("options", [[], ["--ctm", "c.ctm"]])
def test_an_utterance_that_was_not_decoded(corpus, caplog, options):
    (corpus / "decode/text").write_text("u1 we're gonna go\nu3\n")
    (corpus / "c.ctm").write_text("sw_1 A 1.5 0.1 we\n")
    assert run_program(score.main, [*options, *ARGUMENTS]) == 0
    assert (corpus / "decode/scoring/missing_hyps").read_text() == "en_2 b\nu2\n"
    assert "Scored 2 sentences, 2 not present in hyp." in (corpus / "decode/wer").read_text()
    assert "count as deleted: 2 of the set (listed in " in caplog.text


def test_words_with_times_alone(corpus):
    (corpus / "decode/text").unlink()
    (corpus / "c.ctm").write_text("sw_1 A 1.5 0.1 we\nen_2 B 1 0.1 yes\n")
    assert run_program(score.main, ["--ctm", "c.ctm", *ARGUMENTS]) == 0
    assert (corpus / "decode/scoring/missing_hyps").read_text() == ""


def test_subsets_of_an_stm_mind_no_case(corpus):
    assert run_program(score.main, ["--subset", "swbd=SW_", *ARGUMENTS[:4], *ARGUMENTS[8:]]) == 0
    assert (corpus / "decode/scoring/wer_swbd").read_text().startswith("%WER 0.00 [ 0 / 6, ")


def test_words_of_a_recording_without_references_name_the_utterance(corpus, capsys):
    (corpus / "stm").write_text("\n".join(STM.splitlines()[:3]) + "\n")
    assert run_program(score.main, ["--stm", "stm", "data", "-", "decode"]) == 1
    message = "decode/text: utterance 'u3': the references have no file 'en_2' with channel 'B'"
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("heard", ["", "sw_1 A 1.1 .1 we\nsw_1 A 1.2 .1 are\nsw_1 A 1.3 .1 gonna\nsw_1 A 2 .1 go\n"])
def test_nothing_and_everything_right(corpus, heard):
    (corpus / "c.ctm").write_text(heard)
    (corpus / "stm").write_text("\n".join(STM.splitlines()[:3]) + "\n")
    assert run_program(score.main, ["--ctm", "c.ctm", *ARGUMENTS[:6], *ARGUMENTS[8:]]) == 0
    errors = 5 if not heard else 0
    assert f"[ {errors} / 6, 0 ins, {errors} del, 0 sub ]" in (corpus / "decode/wer").read_text()


def test_times_of_units_become_times_of_words(corpus):
    units = {
        "u1": [("▁we", 0, 0.1), ("'re", 0.2, 0.3), ("▁", 0.3, 0.4), ("gonna", 0.4, 0.6), ("▁go", 1, 1.5)],
        "u2": [(letter, 0.1, 0.2) for letter in "noise"],
        "u3": [("▁uh-", 1, 1.2), ("huh", 1.5, 1.7)],
    }
    keys = ("tokens", "start", "end")
    rows = [{"utt": utt, **dict(zip(keys, zip(*found, strict=True), strict=True))} for utt, found in units.items()]
    path = corpus / "decode/tokens.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert decoded_tokens("data", "decode") == [
        Token("sw_1", "A", 1.0, 0.3, "we're"),
        Token("sw_1", "A", 1.4, 0.2, "gonna"),
        Token("sw_1", "A", 2.0, 0.5, "go"),
        Token("sw_1", "A", 3.1, 0.1, "noise"),
        Token("en_2", "B", 1.0, 0.7, "uh-huh"),
    ]
    (corpus / "decode/text").write_text("u1 we're going\n")
    with pytest.raises(UserError, match="tokens.jsonl and text disagree about utterance 'u1'"):
        decoded_tokens("data", "decode")
    for broken in ("NaN", "Infinity", '"1_0"', "true"):
        path.write_text(f'{{"utt": "u1", "tokens": ["a"], "start": [0], "end": [{broken}]}}\n')
        with pytest.raises(UserError, match="tokens.jsonl:1: time '.*' is not a number"):
            decoded_tokens("data", "decode")
    row = '{"utt": "u1", "tokens": ["a"], "start": [0], "end": [1]}\n'
    path.write_text(row + row)
    with pytest.raises(UserError, match="tokens.jsonl:2: utterance 'u1' occurs a second time"):
        decoded_tokens("data", "decode")
    for broken in ('{"utt": "u1"}', "[" * 100000):  # the second is deeper than Python recurses
        path.write_text(f"{broken}\n")
        with pytest.raises(UserError, match="tokens.jsonl:1: expected utt, tokens, start and end"):
            decoded_tokens("data", "decode")


def test_words_without_times_share_their_segment(corpus):
    assert decoded_tokens("data", "decode")[:2] == [
        Token("sw_1", "A", 1.0, 0.667, "we're"),
        Token("sw_1", "A", 1.667, 0.667, "gonna"),
    ]
    (corpus / "data/segments").unlink()
    (corpus / "decode/text").write_text("u1 a\n")
    with pytest.raises(UserError, match="neither tokens.jsonl nor the end of a segment"):
        decoded_tokens("data", "decode")
    (corpus / "decode/text").write_text("u9 a\n")
    with pytest.raises(UserError, match="utterance 'u9' is not in data"):
        decoded_tokens("data", "decode")


@pytest.fixture
def plain_normalizer(monkeypatch):
    """A stand-in for Whisper's package: lower case, and no (...)."""
    module = types.ModuleType("whisper_normalizer.english")
    module.EnglishTextNormalizer = lambda: lambda text: text.lower().replace("(uh)", "").replace("ten", "10")
    monkeypatch.setitem(sys.modules, "whisper_normalizer", types.ModuleType("whisper_normalizer"))
    monkeypatch.setitem(sys.modules, "whisper_normalizer.english", module)
    whisper_normalizer.cache_clear()
    yield
    whisper_normalizer.cache_clear()


def test_whispers_regime_has_files_of_its_own(corpus, plain_normalizer, caplog):
    (corpus / "data/text").write_text("u1 TEN [noise] cats\nu2 [noise]\nu3 I’m here\n", encoding="utf-8")
    (corpus / "decode/text").write_text("u1 10 cats\nu2 uh\nu3 i'm there\n", encoding="utf-8")
    (corpus / "decode/wer").write_text("the corpus's own\n")
    assert run_program(score.main, ["--regime", "whisper", "data", "-", "decode"]) == 0
    decode = corpus / "decode"
    assert (decode / "wer").read_text() == "the corpus's own\n"
    lines = (decode / "wer_whisper").read_text().splitlines()
    assert lines[0] == "%WER 25.00 [ 1 / 4, 0 ins, 0 del, 1 sub ]" and lines[-1] == "Scoring regime: whisper"
    assert (decode / "scoring_whisper/dropped_utts").read_text() == "u2\n"
    assert "without a reference after normalisation, so left out: 1 of the set" in caplog.text
    assert not (decode / "scoring").exists() and (decode / "cer_whisper").exists()


def test_whispers_regime_on_segments(corpus, plain_normalizer):
    assert run_program(score.main, ["--regime", "whisper", "--stm", "stm", "data", "-", "decode"]) == 0
    assert "/ 7, " in (corpus / "decode/wer_whisper").read_text()


@pytest.mark.parametrize("regime", ["verbatim", "whisper"])
def test_speakers_and_times_of_segments_are_kept_in_every_regime(corpus, plain_normalizer, regime):
    (corpus / "stm").write_text(STM.replace("sw_1_A 1.0", "sw-1-A 1.0") + "en_2 a en_2_A 2.0 3.5 ten\n")
    assert run_program(score.main, ["--regime", regime, "--stm", "stm", "data", "-", "decode"]) == 0
    folder = corpus / "decode" / f"scoring{SUFFIXES[regime]}"
    assert {u.id: u.speaker for u in read_utterances(folder)} == {
        "en_2_b-000": "en_2_b",
        "en_2_a-000": "en_2_a",
        "sw-1-a-000": "sw-1-a",
    }
    assert DataDir(folder).segments == {"en_2_b-000": Part("en_2-B", 0, 2), "sw-1-a-000": Part("sw_1-A", 1, 3)}
    (corpus / "data/text").write_text("u1 we are\nu2 a\nu3 b\n")
    assert run_program(score.main, ["--regime", regime, "data", "-", "decode"]) == 0
    assert not (folder / "segments").exists()


def test_systems_that_took_different_branches_are_tested(corpus):
    (corpus / "stm").write_text("sw_1 A s 1.0 3.0 it's a test of words\nen_2 B t 0.0 2.0 hello there\n")
    (corpus / "glm").write_text(";; demo\nIT'S => [{IT'S / IT IS}] / [ ] __ [ ]\n")
    systems = []
    for name, one, other in (("a", "it is a test of words", "hello (uh) there"), ("b", "it's x test", "hello dare")):
        (corpus / name).mkdir()
        (corpus / name / "text").write_text(f"u1 {one}\nu3 {other}\n")
        assert run_program(score.main, ["--stm", "stm", "--glm", "glm", "data", "-", name]) == 0
        systems.append(read_utterances(corpus / name / "scoring"))
    assert {u.id: u.given for u in systems[0]} == {
        "s-000": "{IT'S / IT IS} A TEST OF WORDS",
        "t-000": "HELLO THERE",
    }
    assert systems[0][1].reference != systems[1][1].reference
    for test in TESTS.values():
        assert test(*systems) and test(*reversed(systems))
    assert matched_pairs(*systems).pairs == 2


def test_whisper_itself():
    pytest.importorskip("whisper_normalizer")
    whisper_normalizer.cache_clear()
    normalize = whisper_normalizer()
    for text, normalized in [
        ("Don’t [laughter-really] TWENTY-FIVE", "do not really 25"),
        ("{ you're / you are } (I-) <unk> {laugh} %HESITATION", "you are"),
        ("don\u201bt can\u2032t won\uff07t", "do not can not will not"),
        ("%uh hello %BCACK (%um) 50%", "hello 50%"),
        ("COLOUR mm-hmm [noise]", "color"),
        ("uh um", ""),
    ]:
        assert normalize(text) == normalized


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("don\u201bt \u2032tis I\uff07m", "don't 'tis I'm"),
        ("%uh hello (%um) %BCNACK 50% % a%b", "uh hello (um) 50% % a%b"),
        ("I’m “here”", 'I\'m "here"'),
        ("[laughter-Really] [noise] <B_ASIDE> %HESITATION a", "Really a"),
        ("{ @ / you're / you are } { a / { b / c } } {breath} { / }", "you're a"),
        ("(uh) wor-", "(uh) wor-"),
    ],
)
def test_markup_goes_before_the_normaliser(text, words):
    assert without_markup(text) == words


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ctm", "c.ctm"], "--ctm needs --stm"),
        (["--stm", "stm", "--regime", "glm"], "--regime glm and --glm FILE belong together"),
        (["--stm", "stm", "--glm", "glm", "--regime", "whisper"], "--regime glm and --glm FILE belong together"),
        (["--subset", "swbd"], "--subset takes NAME=PREFIX"),
        (["--subset", "a/b=x"], "--subset 'a/b': a name of letters"),
        (["--stm", "stm", "--subset", "x=zz"], "--subset x: nothing begins like that"),
        (["--stm", "none"], "none does not exist"),
        (["--stm", "ignored"], "ignored has no segment to score"),
        (["--stm", "stm", "--ctm", "stray"], "stray:1: the references have no file 'x' with channel 'A'"),
        (["--stm", "braces"], "braces:1: reference: '{ a': the brace is never closed"),
        (["--stm", "stm", "--glm", "data/text"], "data/text:1: the first line must be a comment"),
    ],
)
def test_what_is_refused(corpus, capsys, arguments, message):
    (corpus / "stray").write_text("x A 0 1 a\n")
    (corpus / "braces").write_text("sw_1 A s 0 9 { a\nen_2 B s 0 9 a\n")
    (corpus / "ignored").write_text("sw_1 A s 0 1 ignore_time_segment_in_scoring\n")
    (corpus / "data/text").write_text("=> we are\n")
    (corpus / "decode/wer").write_text("old\n")
    assert run_program(score.main, [*arguments, "data", "-", "decode"]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "whisper_normalizer.english", None)
    whisper_normalizer.cache_clear()
    with pytest.raises(UserError, match=r"pip install 'omni-asr\[normalize\]'"):
        whisper_normalizer()
