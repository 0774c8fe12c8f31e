"""Results that must not be mixed: of other hypotheses, other regimes, other subsets."""

import re
import shutil
from pathlib import Path

import pytest
from report_helpers import make_experiment

from omni_asr.analysis.compare import read_comparison
from omni_asr.analysis.experiment import read_experiment, siblings
from omni_asr.bin import compare, errors, results, run_program, score
from omni_asr.errors import UserError
from omni_asr.scoring.bootstrap import interval, read_interval
from omni_asr.scoring.protocol import Protocol
from omni_asr.scoring.result_files import ResultFiles, files_of
from omni_asr.scoring.results import experiment_rows, read_rate, update
from omni_asr.scoring.sclite import Utterance
from omni_asr.scoring.score import score as score_set

REGIME = "Scoring regime: verbatim\n"


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """A folder with one experiment, decoded and scored."""
    make_experiment(tmp_path, sets=["test"])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def as_whisper(exp):
    """Put results of Whisper's regime beside the corpus's own."""
    folder = exp / "decode_test"
    shutil.copytree(folder / "scoring", folder / "scoring_whisper")
    for unit in ("wer", "cer"):
        text = (folder / unit).read_text()
        assert REGIME in text
        (folder / f"{unit}_whisper").write_text(text.replace("verbatim", "whisper"))


def test_other_hypotheses_leave_no_result_of_the_earlier_ones(recipe, capsys):
    exp = recipe / "exp/omni_base"
    as_whisper(exp)
    assert [row["regime"] for row in experiment_rows(exp, "test")] == ["verbatim", "whisper"]
    text = exp / "decode_test/text"
    text.write_text("".join(f"{line.split()[0]}\n" for line in text.read_text().splitlines()))
    assert run_program(results.main, ["--exp-dir", str(exp), "--results", "RESULTS.md", "test"]) == 1
    assert "decode_test/wer is of hypotheses that are gone; score this set again" in capsys.readouterr().err
    score_set("data/test", exp / "decode_test")
    assert not list((exp / "decode_test").glob("*_whisper")) or not (exp / "decode_test/wer_whisper").exists()
    assert [(row["regime"], row["WER"]) for row in experiment_rows(exp, "test")] == [("verbatim", "100.00")]


def test_subsets_have_rows_intervals_and_tests_of_their_own(recipe):
    make_experiment(recipe, "dense", errors=0.3, sets=["test"])
    first = next(iter((recipe / "data/test/utt2spk").read_text().splitlines())).split()[1]
    for name in ("omni_base", "dense_base"):
        score_set("data/test", recipe / f"exp/{name}/decode_test", Protocol(subsets={"one": first}))
    exp = recipe / "exp/omni_base"
    rows = experiment_rows(exp, "test")
    assert [row["set"] for row in rows] == ["test", "test/one"]
    files = files_of(exp, "test/one")
    assert rows[1]["WER 95 %"] == str(read_interval(files.folder / "ci", "one")) != rows[0]["WER 95 %"]
    assert f"one: %WER {rows[1]['WER']} 95% Conf Interval" in files.rate("wer").read_text()
    comparison = read_comparison(["exp/omni_base", "exp/dense_base"])
    assert comparison.sets == ["test", "test/one"]
    one = comparison.models[0].experiment.sets[1]
    assert {utterance.speaker for utterance in one.utterances} == {first} and comparison.marks["dense_base", 1] < 0.05


def test_regimes_are_compared_apart(recipe, capsys):
    other = make_experiment(recipe, "dense", sets=["test"])
    (other / "decode_test/wer").write_text((other / "decode_test/wer").read_text().replace("verbatim", "glm"))
    names = ["exp/omni_base", "exp/dense_base"]
    assert run_program(compare.main, names) == 1
    told = "(omni_base verbatim by words; dense_base glm by words); score all in one (stage 5)"
    assert f"test was scored in different ways {told}" in capsys.readouterr().err
    as_whisper(recipe / "exp/omni_base")
    with pytest.raises(UserError, match="no scored set in common"):
        read_comparison(names, suffix="_whisper")
    shutil.copytree(recipe / "exp/omni_base", recipe / "exp/omni_copy")
    assert run_program(compare.main, [names[0], "exp/omni_copy", "--regime", "whisper", "--tests", "all"]) == 0
    assert "test (whisper): matched pairs" in capsys.readouterr().out


def test_protocols_are_compared_apart(recipe, capsys):
    """All are verbatim; joined hyphens make other figures of the same hypotheses all the same."""
    exps = {name: make_experiment(recipe, name, sets=["test"]) for name in ("dense", "switch")}
    score_set("data/test", exps["dense"] / "decode_test", Protocol(join_hyphens=True))
    names = ["exp/omni_base", "exp/dense_base"]
    assert run_program(compare.main, names) == 1
    told = "(omni_base verbatim by words; dense_base verbatim by words, join-hyphens)"
    assert f"test was scored in different ways {told}" in capsys.readouterr().err
    score_set("data/test", exps["switch"] / "decode_test", Protocol(join_hyphens=True))
    assert run_program(compare.main, ["exp/switch_base", "exp/dense_base"]) == 0
    assert "test (by words, join-hyphens): matched pairs" in capsys.readouterr().out
    for name, shown in [("omni_base", ["omni_base"]), ("dense_base", ["dense_base", "switch_base"])]:
        experiment = read_experiment(recipe / "exp" / name, "data", ["test"])
        assert [other.name for other in siblings(experiment, ["test"])] == shown, "in its report"


def test_the_name_of_a_protocol(tmp_path):
    for name, rule in [("a.glm", "A => B\n"), ("b.glm", "A => C\n")]:
        (tmp_path / name).write_text(rule)
    stm, a, b = Path("stm"), tmp_path / "a.glm", tmp_path / "b.glm"
    assert [Protocol().name, Protocol("whisper", stm).name] == ["words", "stm"]
    assert re.fullmatch("stm, glm [0-9a-f]{8}, hyp-filter hub5", Protocol("glm", stm, glm=a, hyp_filter="hub5").name)
    assert re.fullmatch("words, glm [0-9a-f]{8}, join-hyphens", Protocol("glm", glm=a, join_hyphens=True).name)
    assert Protocol("glm", glm=a).name != Protocol("glm", glm=b).name


def test_a_rate_of_an_unknown_regime_is_refused(tmp_path):
    (tmp_path / "wer").write_text("%WER 5.00 [ 1 / 20, 0 ins, 0 del, 1 sub ]\nScoring regime: foo\n")
    with pytest.raises(UserError, match="wer names the regime 'foo', which there is not; score this set again"):
        read_rate(tmp_path / "wer")


def test_a_page_of_errors_in_whispers_regime(recipe):
    exp = recipe / "exp/omni_base"
    as_whisper(exp)
    assert run_program(errors.main, ["--regime", "whisper", "data/test", str(exp / "decode_test")]) == 0
    assert "scoring regime whisper by words" in (exp / "decode_test/scoring_whisper/errors.html").read_text()


def test_a_new_protocol_takes_the_place_of_the_old_one(recipe):
    exp = recipe / "exp/omni_base"
    update("RESULTS.md", exp, ["test"])
    rate = exp / "decode_test/wer"
    rate.write_text(rate.read_text().replace("verbatim", "glm"))
    update("RESULTS.md", exp, ["test"])
    text = (recipe / "RESULTS.md").read_text()
    assert "| test | glm |" in text and "| test | verbatim |" not in text


def test_no_row_of_hypotheses_that_are_gone_is_left(recipe):
    """A subset and another regime of the old decoding stand beside the new one's figures otherwise."""
    exp, speaker = recipe / "exp/omni_base", (recipe / "data/test/utt2spk").read_text().split()[1]
    make_experiment(recipe, "dense", sets=["test", "test_noisy"])
    update("RESULTS.md", recipe / "exp/dense_base", ["test", "test_noisy"])
    score_set("data/test", exp / "decode_test", Protocol(subsets={"one": speaker}))
    as_whisper(exp)
    update("RESULTS.md", exp, ["test"])
    text = (recipe / "RESULTS.md").read_text()
    assert "| test/one | verbatim |" in text and "| test | whisper |" in text
    shutil.copy("data/test/text", exp / "decode_test/text")
    score_set("data/test", exp / "decode_test")
    update("RESULTS.md", exp, ["test"])
    results = (recipe / "RESULTS.md").read_text().split("<!-- results -->")[1].splitlines()
    rows = [line.split(" | ")[:8:2] for line in results if line.startswith(("| omni", "| dense"))]
    assert [(row[0], row[3]) for row in rows if row[0] == "| omni_base"] == [("| omni_base", "0.00")]
    assert len(rows) == 3, "those of other sets and experiments stay"


def test_inputs_in_the_folder_of_results_are_refused_and_kept(recipe, capsys):
    decode = recipe / "exp/omni_base/decode_test"
    inside = decode / "scoring/ref.stm"
    inside.write_text("a A s 0 1 x\n")
    assert run_program(score.main, ["--stm", str(inside), "data/test", "-", str(decode)]) == 1
    assert "lies in" in capsys.readouterr().err and inside.read_text() == "a A s 0 1 x\n"


@pytest.mark.parametrize("arguments", [["--stm", "gone.stm"], ["--subset", "x=nothing"]])
def test_what_cannot_be_read_leaves_the_earlier_results(recipe, arguments):
    decode = recipe / "exp/omni_base/decode_test"
    before = {path: path.read_bytes() for path in decode.rglob("*") if path.is_file()}
    assert run_program(score.main, [*arguments, "data/test", "-", str(decode)]) == 1
    assert before == {path: path.read_bytes() for path in decode.rglob("*") if path.is_file()}


def test_folders_where_files_belong_are_one_line(recipe, capsys):
    decode = recipe / "exp/omni_base/decode_test"
    assert run_program(score.main, ["data/test", "-", str(decode / "text")]) == 1
    assert run_program(errors.main, ["data/test", str(decode), "--out", str(recipe)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len([line for line in lines if ": error: " in line]) == 2 and "Traceback" not in "".join(lines)


def test_names_that_are_taken(recipe, capsys, caplog):
    decode = recipe / "exp/omni_base/decode_test"
    stm = ';; LABEL "all" "All" ""\n;; LABEL "a/b" "A" ""\n;; LABEL "A/B" "B" ""\n'
    (recipe / "stm").write_text(stm + "r 1 s 0 1 <all,a/b> x\nr 1 s 1 2 <A/B> y y y\n")
    (recipe / "ctm").write_text("r 1 0.4 0.1 x\n")
    options = ["--stm", "stm", "--ctm", "ctm", "data/test", "-", str(decode)]
    assert run_program(score.main, options) == 0
    assert (decode / "wer").read_text().startswith("%WER 75.00 [ 3 / 4,")
    assert ResultFiles(decode).subsets == [] and sorted(path.name for path in decode.glob("scoring/wer_*")) == [
        "wer_a_b"
    ]
    assert "all: %WER 75.00" in (decode / "scoring/ci").read_text()
    assert caplog.text.count("has no row of its own") == 2
    assert run_program(score.main, ["--subset", "a_b=r", *options]) == 1
    assert run_program(score.main, ["--subset", "x=r", "--subset", "x=q", *options]) == 1
    assert "declares a label of this name" in (found := capsys.readouterr().err) and "is given twice" in found


def test_blocks_of_the_bootstrap_can_be_chosen():
    utterances = [
        Utterance(f"{name}-{n}", name, ["a"], ["a" if n % 2 else "b"], "SC"[n % 2]) for name in "pq" for n in range(9)
    ]
    assert interval(utterances).unit == "speakers"
    found = interval(utterances, "utterances")
    assert (found.unit, found.blocks) == ("utterances", 18)
