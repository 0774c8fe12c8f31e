"""What Hub5's protocol does to recognised words, and eval2000 from its preparation to its score, beside hubscr.pl."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from corpora.eval2000 import make_eval2000

from omni_asr.bin import ArgumentParser, run_program, score
from omni_asr.corpora.eval2000 import SETS as EVAL2000
from omni_asr.corpora.eval2000 import write_eval2000
from omni_asr.corpora.preparing import Preparation, add_options
from omni_asr.kaldi.ctm import Alternation, Token, read_ctm, write_ctm
from omni_asr.scoring.decoded import decoded_tokens
from omni_asr.scoring.hypotheses import hub5

ROOT = Path(__file__).resolve().parents[1]
HUBSCR = shutil.which("hubscr.pl") or shutil.which("hubscr.pl", path="/usr/lib/sctk/bin")
HEARD = {
    "en_4911-A_000050-000310": "uh she don't know wait-",
    "en_4911-A_000300-000490": "it's a big well known [laughter] lake um",
    "en_4911-B_000110-000220": "uh-huh",
    "en_4912-B_000100-000300": "he's gone to the u._c._q. uh",
    "en_4912-B_000320-000390": "ha bus boss",
    "sw_4901-A_000030-000229": "well we're gonna <UNK> row",
    "sw_4901-A_000229-000434": "yeah write HUH",
    "sw_4901-B_000005-000150": "um-hum",
    "sw_4901-B_000190-000650": "the oars are uh in shed",
    "sw_4902-A_000100-000200": "uh",
    "sw_4902-B_000100-000300": "go",
}
EVENTS = r"\[NOISE\]|\[LAUGHTER\]|\[VOCALIZED-NOISE\]|<UNK>"
HESITATIONS = " (UH|UM|EH|MM|HM|AH|HUH|HA|ER|OOF|HEE|ACH|EEE|EW)$"


def heard(text, gap=0.0, channel="A"):
    return [
        Token("f", channel, round((1 + gap) * index, 3), 1.0, word, where=f"x:{index}")
        for index, word in enumerate(text.split())
    ]


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("well uh UM i Huh know", "well i know"),
        ("[noise] yes [LAUGHTER] <unk> [vocalized-noise] laughter", "yes laughter"),
        ("go- to-day yester-", "to-day"),
        ("uh huh yes um hum", "uh-huh yes um-hum"),
        ("uh uh huh", "uh-huh"),
        ("huh uh", "huh-uh"),
        ("uh uh", ""),
        ("uh-huh", "uh-huh"),
        ("the b._b._c. i. c._d.s t._v.'s a.m. e.g.", "the b b c i c d's t v's a.m. e.g."),
    ],
)
def test_hub5_words(words, kept):
    assert " ".join(token.word for token in hub5(heard(words))) == kept


def test_hub5_times():
    either = Alternation("f", "A", [heard("uh"), []])
    assert hub5([either]) == [either]
    assert hub5(heard("uh huh", gap=0.5)) == [Token("f", "A", 0.0, 2.5, "uh-huh")]
    assert hub5(heard("uh huh", gap=0.6)) == []
    assert hub5([*heard("uh"), *heard("huh", channel="B")]) == []
    assert hub5(heard("x._y._z.")) == [
        Token("f", "A", 0.0, 0.333, "x"),
        Token("f", "A", 0.333, 0.333, "y"),
        Token("f", "A", 0.667, 0.333, "z"),
    ]


@pytest.fixture
def decoded(tmp_path, monkeypatch):
    """data/eval2000 of the fake copy, and a decoding of it."""
    folders = make_eval2000(tmp_path / "corpus")
    options = [f"--corpus-dir={folder}" for folder in folders]
    parser = ArgumentParser(None)
    add_options(parser, EVAL2000)
    write_eval2000(
        Preparation(parser.parse_args([*options, f"--data-dir={tmp_path / 'data'}", "--max-removed=0.9"])), "eval2000"
    )
    monkeypatch.chdir(tmp_path)
    write_decoded(HEARD)
    return tmp_path


def write_decoded(heard):
    Path("decode").mkdir(exist_ok=True)
    Path("decode/text").write_text("".join(f"{name} {words}\n" for name, words in heard.items()))


def score_all(*options):
    protocol = ["--stm", "data/eval2000/stm", "--glm", "data/eval2000/glm", "--hyp-filter", "hub5"]
    subsets = ["--subset", "swbd=sw_", "--subset", "callhm=en_"]
    assert run_program(score.main, [*protocol, *subsets, *options, "data/eval2000", "-", "decode"]) == 0
    return {
        "all": counts(Path("decode/wer")),
        "swbd": counts(Path("decode/scoring/wer_swbd")),
        "callhm": counts(Path("decode/scoring/wer_callhm")),
    }


def counts(path):
    """Words, insertions, deletions, substitutions."""
    match = re.match(r"%WER \S+ \[ \d+ / (\d+), (\d+) ins, (\d+) del, (\d+) sub \]", path.read_text())
    return tuple(map(int, match.groups()))


def test_counts_by_hand(decoded):
    """By segments, in the order of the stm.

    (%HESITATION) SHE DON’T (%UH) KNOW (WAIT) / she don't know: 6 words, DON’T wrong, optional ones may be missing.
    { IT'S / IT IS } A (BI-) BIG WELL KNOWN LAKE / it's a big well known lake: 7 words, right.
    UH-HUH: 1. HE HAS GONE TO THE U C Q / he's (he has) gone to the u c q: 8. THE BUS / bus boss: 2, 1 del, 1 ins or
    2 sub, which cost 8 and 6. TOO LATE: 2 del. NOBODY HEARS THIS: 3 del.
    WELL (%H) WE ARE (GO-) GOING TO ROW / well we are going to row: 8. YEAH RIGHT / yeah write: 2, 1 sub. UM-HUM: 1.
    THE OARS ARE (%H) IN THE SHED / the oars are in shed: 7, 1 del. (%H): 1. Nothing / go: 1 ins.
    NOBODY TAPED THIS: 3 del.
    """
    found = score_all()
    assert found["callhm"] == (29, 1, 6, 1)
    assert found["swbd"] == (22, 1, 4, 1)
    assert found["all"] == (51, 2, 10, 2)
    assert "Scoring regime: glm" in Path("decode/wer").read_text()


def test_without_hyphens_backchannels_count_alike(decoded):
    expected = score_all()
    write_decoded({name: words.replace("-hu", " hu") for name, words in HEARD.items()})
    assert score_all() == expected


@pytest.mark.skipif(HUBSCR is None, reason="sctk is not installed (Debian: apt-get install sctk)")
def test_equal_to_hubscr_after_the_filter_of_kaldi(decoded):
    tokens = []
    for token in decoded_tokens("data/eval2000", "decode"):
        letters = token.word.removesuffix(".").split("._")
        share = token.duration / len(letters)
        for number, letter in enumerate(letters):
            tokens.append(Token(token.file, token.channel, token.begin + share * number, share, letter))
    write_ctm("all.ctm", tokens)
    found = score_all()
    for name, other in (("all", "^$"), ("swbd", "^en_"), ("callhm", "^sw_")):
        filters = (
            f"grep -v '{other}' all.ctm | grep -i -v -E '{EVENTS}' | grep -i -v -E '{HESITATIONS}' | grep -v -- '-$'"
        )
        shell(f"{filters} > {name}.hyp.ctm; grep -v '{other}' data/eval2000/stm > {name}.stm; cp data/eval2000/glm glm")
        command = f"{HUBSCR} -p {Path(HUBSCR).parent} -V -l english -h hub5 -g glm -r {name}.stm {name}.hyp.ctm"
        shell(command)
        raw = Path(f"{name}.hyp.ctm.filt.raw").read_text()
        row = re.search(r"\| Sum +\|(.*)", raw)[1].replace("|", " ").split()
        _, words, _, sub, deleted, inserted, *_ = map(int, row)
        assert found[name] == (words, inserted, deleted, sub), name
    assert read_ctm("all.ctm")


def shell(command):
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_whisper_regime_of_the_set(decoded):
    pytest.importorskip("whisper_normalizer")
    script = ROOT / "egs/TEMPLATE/local/score_hub5.sh"
    shell(f"PYTHONPATH={ROOT} {script} data/eval2000 - decode --regime whisper")
    assert Path("decode/scoring_whisper/wer_swbd").exists() and not Path("decode/wer").exists()
    dropped = Path("decode/scoring_whisper/dropped_utts").read_text().split()
    assert dropped == ["sw_4902-A_000100-000200", "sw_4902-B_000100-000300"]
    shell(f"PYTHONPATH={ROOT} {script} data/eval2000 - decode")
    assert counts(Path("decode/scoring/wer_swbd")) == (22, 1, 4, 1)


@pytest.mark.parametrize(
    ("folder", "data"),
    [(".", "data/eval2000/"), ("data", "eval2000"), ("data/eval2000", "."), (".", "./data//eval2000")],
)
def test_the_two_halves_are_scored_however_the_set_is_named(decoded, folder, data):
    script = ROOT / "egs/switchboard/local/score.sh"
    shell(f"cd {folder} && PYTHONPATH={ROOT} {script} {data} - {decoded}/decode")
    assert counts(Path("decode/scoring/wer_swbd")) == (22, 1, 4, 1)
    assert counts(Path("decode/scoring/wer_callhm")) == (29, 1, 6, 1)


@pytest.mark.parametrize("script", sorted(ROOT.glob("egs/*/local/score*.sh")), ids=lambda path: path.parts[-3])
def test_score_scripts_say_how_they_are_called(script):
    for arguments in ("", "data/test -", "--by length data/test - decode", "data/test --by length - decode"):
        done = subprocess.run([script, *arguments.split()], capture_output=True, text=True)
        usage = "usage: local/score.sh <data-dir> <lang-dir-or-> <decode-dir> [options]\n"
        assert (done.returncode, done.stderr) == (2, usage), arguments


def test_the_filter_needs_times(decoded, capsys):
    assert run_program(score.main, ["--hyp-filter", "hub5", "data/eval2000", "-", "decode"]) == 1
    assert "--hyp-filter needs --stm" in capsys.readouterr().err
