"""The program score-trn: what it counts and prints is what sclite does with the same files."""

import itertools
import subprocess

import pytest
from sclite_helpers import SCLITE, marked_text, options_of, random_pairs

from omni_asr.bin import run_program, score_trn
from omni_asr.scoring.markup import Markup
from omni_asr.scoring.per_utt import read_per_utterance

FLAGS = ["--optional", "--fragments", "--case-sensitive"]


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.trn").write_text("{ a / @ } (b) cat Dog (S-1)\nc (t-1)\nd (t-2)\n", encoding="utf-8")
    (tmp_path / "h.trn").write_text("x (t-2)\nca- dog (s-1)\n", encoding="utf-8")
    return tmp_path


def test_marks_mean_what_the_options_say(files, capsys, caplog):
    assert run_program(score_trn.main, ["r.trn", "h.trn"]) == 0
    assert run_program(score_trn.main, ["--optional", "--fragments", "r.trn", "h.trn", "out"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "%WER 80.00 [ 4 / 5, 0 ins, 2 del, 2 sub ]",
        "%WER 40.00 [ 2 / 5, 0 ins, 1 del, 1 sub ]",
    ]
    assert "references without a hypothesis, whose words count as deleted: 1 (t-1" in caplog.text
    assert (files / "out/missing_hyps").read_text() == "t-1\n"
    wer, ci, result = ((files / "out" / name).read_text() for name in ("wer", "ci", "result.txt"))
    assert wer == "%WER 40.00 [ 2 / 5, 0 ins, 1 del, 1 sub ]\nScoring regime: verbatim\n"
    assert ci.startswith("all: %WER 40.00 95% Conf Interval [ ") and ci.endswith("\nScoring regime: verbatim\n")
    assert "h.trn (verbatim)" in result
    assert [u.id for u in read_per_utterance(files / "out/per_utt")] == ["t-2", "s-1", "t-1"]
    assert {path.name for path in (files / "out").iterdir()} >= {"result.txt", "per_spk"}


@pytest.mark.parametrize(
    ("reference", "hypothesis", "message"),
    [
        ("a (s-1)\n", "a (s-2)\n", "h.trn: utterance 's-2' is not in r.trn"),
        ("{ a (s-1)\n", "a (s-1)\n", "r.trn: utterance (s-1): '{ a ': the brace is never closed"),
        ("a (s-1)\n", "a{ (s-1)\n", "h.trn: utterance (s-1): 'a{': a brace inside a word"),
        ("a (s-1)\nb (S-1)\n", "", "r.trn:2: utterance (S-1) occurs a second time"),
        ("", "", "r.trn is empty; nothing to score"),
    ],
)
def test_what_is_refused(files, capsys, reference, hypothesis, message):
    (files / "r.trn").write_text(reference)
    (files / "h.trn").write_text(hypothesis)
    assert run_program(score_trn.main, ["r.trn", "h.trn", "out"]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and not (files / "out").exists()


ORDERS = ["a_u1 a_u2 b_u3", "x A-b_c a_b-c d_e-f", "A-1 u2 B_3 u4 -x _y z", "u1 a-1 u2", "a_b c-d_e C_f 5", "-x a-1 _y"]


def printed_by_sclite(*options: str) -> list[str]:
    """Lines of its report on ``r.trn`` and ``h.trn``."""
    files = ["-r", "r.trn", "trn", "-h", "h.trn", "trn", "h.trn (verbatim)"]
    command = [SCLITE, *files, *options, "-i", "rm", "-o", "all", "stdout"]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout.splitlines()


@pytest.mark.skipif(SCLITE is None, reason="sclite is not installed (Debian: apt-get install sctk)")
@pytest.mark.parametrize("names", ORDERS)
def test_speakers_are_those_of_sclite(tmp_path, monkeypatch, names):
    monkeypatch.chdir(tmp_path)
    lines = "".join(f"w ({name})\n" for name in names.split())
    (tmp_path / "r.trn").write_text("".join(sorted(lines.splitlines(keepends=True))))  # the hypotheses' order counts
    (tmp_path / "h.trn").write_text(lines)
    assert run_program(score_trn.main, ["r.trn", "h.trn", "out"]) == 0
    assert (tmp_path / "out/result.txt").read_text().splitlines() == printed_by_sclite()


def test_speakers_are_drawn_for_the_interval(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    lines = [f"w ({name})\n" for name in "a_u1 a_u2 b_u3 u4".split()]
    (tmp_path / "t.trn").write_text("".join(lines))
    assert run_program(score_trn.main, ["t.trn", "t.trn", "out"]) == 0
    assert (tmp_path / "out/ci").read_text().splitlines()[0].endswith(", 2 speakers")
    assert "ids without a speaker, that of the line before: 1 (u4, ...)" in caplog.text


@pytest.mark.skipif(SCLITE is None, reason="sclite is not installed (Debian: apt-get install sctk)")
@pytest.mark.parametrize("switches", list(itertools.product([False, True], repeat=3)))
def test_the_report_is_what_sclite_prints(tmp_path, monkeypatch, switches):
    monkeypatch.chdir(tmp_path)
    ascii_text = lambda *args: "".join(c for c in marked_text(*args) if c.isascii())  # noqa: E731 - it pads by bytes
    pairs = random_pairs(200, 7, ascii_text)
    for index, pair in enumerate(pairs):
        for side, name in enumerate(("r.trn", "h.trn")):
            with open(name, "a", encoding="utf-8") as file:
                file.write(f"{pair[side]} ({['S', 's', 't_u'][index % 3]}-{index})\n")
    flags = [flag for flag, on in zip(FLAGS, switches, strict=True) if on]
    assert run_program(score_trn.main, [*flags, "r.trn", "h.trn", "out"]) == 0
    assert (tmp_path / "out/result.txt").read_text().splitlines() == printed_by_sclite(*options_of(Markup(*switches)))
