"""The score program: what it writes, what sclite makes of it, and what it refuses."""

import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from omni_asr.bin import run_program, score
from omni_asr.errors import UserError
from omni_asr.kaldi.trn import read_trn
from omni_asr.scoring import reports
from omni_asr.scoring.align import align_all
from omni_asr.scoring.aligned import align_words
from omni_asr.scoring.per_utt import read_per_utterance, read_utterances
from omni_asr.scoring.reports import count_characters
from omni_asr.scoring.transcripts import Transcripts, read_transcripts

SCLITE = shutil.which("sclite") or shutil.which("sclite", path="/usr/lib/sctk/bin")
REFERENCES = {
    "spk-a-001": "the red kettle boiled over",
    "spk-a-002": "i've seen it",
    "spk-a-003": "",
    "spk-b-001": "one / two (three)",
    "spk-b-002": "naïve café",
}
HYPOTHESES = {
    "spk-b-002": "naive café",
    "spk-a-001": "the Red cattle boiled really over now",
    "spk-a-003": "uh",
    "spk-b-001": "",
}
SPEAKERS = {utterance: utterance.rsplit("-", 1)[0] for utterance in REFERENCES}


def write_set(folder, references=REFERENCES, hypotheses=HYPOTHESES, speakers=SPEAKERS):
    for name, table in [("data/text", references), ("data/utt2spk", speakers), ("decode/text", hypotheses)]:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{key} {value}".strip() + "\n" for key, value in table.items()), encoding="utf-8")
    return ["data", "-", "decode"]


@pytest.fixture
def arguments(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_set(tmp_path)


def test_what_it_writes(arguments, tmp_path, capsys):
    assert run_program(score.main, arguments) == 0
    line = "%WER 85.71 [ 12 / 14, 3 ins, 7 del, 2 sub ]"
    assert capsys.readouterr().out == line + " verbatim\n"
    decode = tmp_path / "decode"
    lines = (decode / "wer").read_text().splitlines()
    assert lines[:3] == [line, "%SER 100.00 [ 5 / 5 ]", "Scored 5 sentences, 1 not present in hyp."]
    assert re.fullmatch(r"Hypotheses: [0-9a-f]{16}", lines[3]) and lines[4:] == [
        "Protocol: words",
        "Scoring regime: verbatim",
    ]
    assert (decode / "scoring_kaldi/best_wer").read_text() == f"{line} decode/wer\n"
    assert (decode / "cer").read_text().startswith("%CER ")
    ci, table = ((decode / f"scoring/{name}").read_text().splitlines() for name in ("ci", "result.md"))
    assert ci == ["all: %WER 85.71 95% Conf Interval [ 83.33, 87.50 ], 2 speakers", "Scoring regime: verbatim"]
    assert table[4].startswith("| all | 5 | 14 |") and table[4].endswith("| [83.33, 87.50] |")
    speakers = [re.split(r" *\| *", line)[1:-1] for line in table if line.startswith(("| speaker", "| spk-"))]
    assert [row[0] for row in speakers] == ["speaker", "spk-a", "spk-b"] and speakers[0][-1] == "Err 95 %"
    for row in speakers[1:]:
        assert re.fullmatch(r"\[\d+\.\d\d, (\d+\.\d\d|inf)\]", row[-1]), row
        low, high = map(float, row[-1][1:-1].split(", "))
        assert low <= float(row[7]) + 0.05 and float(row[7]) - 0.05 <= high
    assert (decode / "scoring/missing_hyps").read_text() == "spk-a-002\n"
    per_utterance = (decode / "scoring/per_utt").read_text(encoding="utf-8").splitlines()
    assert per_utterance[:4] == [
        "spk-a-001 ref   the  red  kettle  boiled  ***     over  ***",
        "spk-a-001 hyp   the  Red  cattle  boiled  really  over  now",
        "spk-a-001 op    C    C    S       C       I       C     I",
        "spk-a-001 #csid 4 1 2 0",
    ]
    per_speaker = (decode / "scoring/per_spk").read_text().splitlines()
    assert per_speaker[1].split() == "spk-a raw 3 8 4 1 3 3 7 3".split()
    assert per_speaker[4].split() == "spk-b sys 2 6 16.67 16.67 0.00 66.67 83.33 100.00".split()
    assert per_speaker[5].split() == "SUM raw 5 14 5 2 3 7 12 5".split()


def test_trn_files_join_by_id_and_keep_every_reference(arguments, tmp_path):
    run_program(score.main, arguments)
    reference, hypothesis = (read_trn(tmp_path / f"decode/scoring/{name}.trn") for name in ("ref", "hyp"))
    assert list(reference) == list(hypothesis) == [f"{s.replace('-', '_')}-{u}" for u, s in SPEAKERS.items()]
    assert reference["spk_b-spk-b-001"] == ["one", "/", "two", "(three)"]
    assert hypothesis["spk_a-spk-a-002"] == []


def test_what_it_leaves_reads_back(arguments, tmp_path):
    run_program(score.main, arguments)
    assert read_utterances("decode/scoring") == align_words(read_transcripts("data", "decode"))


@pytest.mark.parametrize("lost", [1, 2, 3, 5])
def test_a_table_that_was_cut_off_is_refused(arguments, lost):
    run_program(score.main, arguments)
    path = Path("decode/scoring/per_utt")
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:-lost]), encoding="utf-8")
    with pytest.raises(UserError, match=rf"per_utt:{'13' if lost == 5 else '17'}: expected the lines ref, hyp, op"):
        read_per_utterance(path)


def test_tables_of_other_utterances_are_refused(arguments):
    run_program(score.main, arguments)
    path = Path("decode/scoring/utt2spk")
    path.write_text(path.read_text(encoding="utf-8").replace("spk-b-002", "spk-b-003"), encoding="utf-8")
    with pytest.raises(UserError, match="utterance 'spk-b-002' is not in per_utt, utt2spk and text alike"):
        read_utterances("decode/scoring")


def test_characters_count_the_blank(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = write_set(tmp_path, {"u": "ab cd"}, {"u": "abcd"}, {"u": "s"})
    assert run_program(score.main, arguments) == 0
    lines = (tmp_path / "decode/cer").read_text().splitlines()
    assert lines[0] == "%CER 20.00 [ 1 / 5, 0 ins, 1 del, 0 sub ]" and lines[-1] == "Scoring regime: verbatim"


@pytest.mark.parametrize("seed", range(6))
def test_characters_of_a_long_recording_are_aligned_within_its_words(monkeypatch, seed):
    source = random.Random(seed)
    words = ["".join(source.choices("abcdef", k=source.randint(1, 7))) for _ in range(200)]
    reference = source.choices(words, k=800)
    said = [w for w in reference if source.random() > 0.1]
    hypothesis = [source.choice([w + "s", source.choice(words)]) if source.random() < 0.2 else w for w in said]
    if seed == 4:
        hypothesis = source.choices(words, k=900)  # nothing right but by chance
    if seed == 5:
        reference = source.choices(words, k=300) + reference  # deleted before the first cut
    utterances = align_words(Transcripts({"u": " ".join(reference)}, {"u": " ".join(hypothesis)}, {"u": "s"}, []))
    whole = count_characters(utterances)["u"]
    monkeypatch.setattr(reports, "LONGEST_CHARACTERS", 1000)
    sizes = []
    monkeypatch.setattr(reports, "align_all", lambda r, h: sizes.extend(map(len, [*r, *h])) or align_all(r, h))
    pieces = count_characters(utterances)["u"]
    assert len(sizes) > 6 and max(sizes) < 5 * reports.PIECE
    assert pieces.words == whole.words == len(" ".join(reference))
    assert pieces.correct + pieces.substitutions + pieces.insertions == len(" ".join(hypothesis))
    assert pieces.errors == pytest.approx(whole.errors, rel=0.02 if seed == 4 else 0.01)


def test_no_reference_words_at_all(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = write_set(tmp_path, {"u": ""}, {"u": ""}, {"u": "s"})
    assert run_program(score.main, arguments) == 0
    assert capsys.readouterr().out == "%WER 0.00 [ 0 / 0, 0 ins, 0 del, 0 sub ] verbatim\n"
    ci = (tmp_path / "decode/scoring/ci").read_text()
    assert ci.startswith("all: %WER 0.00 without interval, since there is no reference word\n")


@pytest.mark.parametrize("name", ["data/text", "data/utt2spk", "decode/text"])
def test_a_byte_order_mark_is_no_part_of_an_id(arguments, tmp_path, capsys, name):
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + (tmp_path / name).read_bytes())
    assert run_program(score.main, arguments) == 1
    error = capsys.readouterr().err
    assert f"{name}:1: begins with a byte order mark" in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"hypotheses": HYPOTHESES | {"spk-c-001": "x", "spk-c-002": "x"}},
            "'spk-c-001' is not in data/text (nor are 1",
        ),
        ({"speakers": {"spk-a-001": "spk-a"}}, "'spk-a-002' of text has no speaker"),
        ({"references": {}, "hypotheses": {}}, "data/text is empty"),
    ],
)
def test_bad_input_is_one_line(tmp_path, monkeypatch, capsys, change, message):
    monkeypatch.chdir(tmp_path)
    assert run_program(score.main, write_set(tmp_path, **change)) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "decode/wer").exists()


def test_duplicate_hypothesis_and_missing_file(arguments, tmp_path, capsys):
    with open(tmp_path / "decode/text", "a", encoding="utf-8") as file:
        file.write("spk-a-001 again\n")
    assert run_program(score.main, arguments) == 1
    assert "decode/text:5: 'spk-a-001' occurs a second time" in capsys.readouterr().err
    (tmp_path / "decode/text").unlink()
    assert run_program(score.main, arguments) == 1
    assert "decode/text does not exist" in capsys.readouterr().err
    assert run_program(score.main, ["data", "nolang", "decode"]) == 1
    assert "nolang is no directory" in capsys.readouterr().err


def random_set(seed):
    """A set of a few speakers with names of all lengths, one of whom may have no words."""
    source = random.Random(seed)
    speakers = [
        f"{source.choice('aB_') * source.choice([1, 5, 9, 30])}{index}" for index in range(source.randint(1, 5))
    ]
    words = [source.choice("abcDE") * source.randint(1, 8) for _ in range(6)]
    references, hypotheses, owners = {}, {}, {}
    for index in range(source.randint(5, 60)):
        speaker = source.choice(speakers)
        length = 0 if speaker == speakers[-1] and seed % 3 == 0 else source.choice([0, 3, 20, 300])
        reference = [source.choice(words) for _ in range(length)]
        hypothesis = [w for w in reference if source.random() > 0.2] + source.choices(words, k=source.randint(0, 2))
        utterance = f"{speaker}-U{index}"
        owners[utterance], references[utterance] = speaker, " ".join(reference)
        hypotheses[utterance] = " ".join(hypothesis)
    return references, hypotheses, owners


def printed_by_sclite():
    command = [
        SCLITE,
        "-r",
        "ref.trn",
        "trn",
        "-h",
        "hyp.trn",
        "trn",
        "hyp.trn (verbatim)",
        "-i",
        "rm",
        "-o",
        "all",
        "stdout",
    ]
    return subprocess.run(command, cwd="decode/scoring", capture_output=True, encoding="utf-8", check=True).stdout


@pytest.mark.skipif(SCLITE is None, reason="sclite is not installed (Debian: apt-get install sctk)")
@pytest.mark.parametrize("seed", range(12))
def test_result_is_what_sclite_prints(tmp_path, monkeypatch, seed):
    monkeypatch.chdir(tmp_path)
    assert run_program(score.main, write_set(tmp_path, *random_set(seed))) == 0
    assert (tmp_path / "decode/scoring/result.txt").read_text().splitlines() == printed_by_sclite().splitlines()


@pytest.mark.skipif(SCLITE is None, reason="sclite is not installed (Debian: apt-get install sctk)")
def test_words_with_markup_and_accents_count_alike_in_sclite(arguments, tmp_path):
    with open(tmp_path / "data/text", "a", encoding="utf-8") as text:
        text.write("spk-c-1 a\vb \x00 c\x1cd e\x7f \x0c\n")
    with open(tmp_path / "data/utt2spk", "a", encoding="utf-8") as speakers:
        speakers.write("spk-c-1 spk-c\n")
    assert run_program(score.main, arguments) == 0
    tables, dump = "SYSTEM SUMMARY", "DUMP OF SYSTEM ALIGNMENT"
    mine, printed = (tmp_path / "decode/scoring/result.txt").read_text(encoding="utf-8"), printed_by_sclite()
    assert mine.count(tables) == 2
    assert mine[: mine.index(dump)] == printed[: printed.index(dump)]


def test_scoring_does_not_import_torch():
    program = "import sys, omni_asr.bin.score; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
