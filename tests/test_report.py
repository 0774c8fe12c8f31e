"""The report of a made-up experiment: complete, with parts missing, and with hostile text."""

import json
import re
import shutil
import sys
from datetime import datetime
from pathlib import Path

import pytest
from report_helpers import CHROMIUM, SETS, Page, browse, make_experiment
from routing_helpers import write_routing

from omni_asr.analysis import page
from omni_asr.analysis.experiment import Experiment, read_experiment, siblings
from omni_asr.bin import report, run_program
from omni_asr.scoring.score import score


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("matplotlib")
    folder = tmp_path_factory.mktemp("recipe")
    for router, errors in (("omni", 0.05), ("dense", 0.09), ("switch", 0.06)):
        for seed in (1, 2):
            make_experiment(folder, router, seed, errors)
    return folder


def render(folder, name="omni_base", sets=SETS):
    arguments = [str(folder / "exp" / name), "--data-dir", str(folder / "data"), *sets]
    assert run_program(report.main, arguments) == 0
    text = (folder / "exp" / name / "report/index.html").read_text(encoding="utf-8")
    return text, Page(text)


def test_complete_report(folder):
    text, found = render(folder)
    for expected in (
        "omni_base", "4x4", "5.21 M", "2.41 M", "2.0 h", "1200 / 12", "9 min 25 s", "unigram 170", "0123456789ab",
        "omni-asr train --config conf/base.yaml --router omni --seed 1", "Mean and standard deviation over seeds",
        "Over training", "Load of the experts", "nine → five", "Hardest speakers", "effective",
        "Agreement between layers",
    ):  # fmt: skip
        assert expected in found.seen, expected
    names = ["dense_base", "dense_base_s2", "switch_base", "switch_base_s2", "omni_base", "omni_base_s2"]
    positions = [found.seen.index(f" {name} ", found.seen.index("this one is shaded")) for name in names]
    assert positions == sorted(positions)
    assert "Not in this report" not in found.seen
    assert text.count("<svg") == 6 + 1 + 7 and text.count('<tr class="this">') == 1


def test_it_says_which_experiments_it_shows_and_how_to_show_more(folder):
    """Experiments that are trained later are not on pages that were written before."""
    before = datetime.now().astimezone()
    _, found = render(folder)
    times = re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d", found.seen)
    assert len(times) == 2, "beside the error rates, and at the end"
    for time in times:
        assert 0 <= (datetime.fromisoformat(time).astimezone() - before).total_seconds() + 60 < 300
    command = f"omni-asr report {folder / 'exp/omni_base'} test test_noisy --data-dir {folder / 'data'}"
    assert f"of the 6 experiments in exp/ that had results on these sets on {times[0]}" in found.seen
    assert f"appear when this page is written again: {command}" in found.seen


def test_experiments_that_were_put_aside_are_not_compared(tmp_path, folder):
    shutil.copytree(folder / "exp/omni_base", tmp_path / "exp/omni_base")
    shutil.copytree(folder / "exp/omni_base", tmp_path / "exp/omni_base.before")
    assert [one.name for one in siblings(Experiment(tmp_path / "exp/omni_base"), SETS)] == ["omni_base"]
    assert len(siblings(Experiment(tmp_path / "exp/omni_base.before"), SETS)) == 2, "unless it is the one reported"


def test_report_needs_nothing_beside_it(folder):
    text, found = render(folder)
    assert all(link.startswith(("#", "data:")) for link in found.links)
    for sign in ("<script", "@import", "url(http", "<link"):
        assert sign not in text


def test_dense_model_says_that_it_has_no_experts(folder):
    _, found = render(folder, "dense_base")
    assert "A dense model has no experts and no router." in found.seen
    assert "Not in this report" not in found.seen


def test_missing_parts_are_named(tmp_path, folder):
    exp = tmp_path / "exp" / "omni_base"
    shutil.copytree(folder / "exp/omni_base", exp)
    shutil.rmtree(exp / "decode_test_noisy")
    (exp / "cmd.txt").unlink()
    (exp / "model_info.json").unlink()
    (exp / "decode_test/load.json").unlink()
    (exp / "decode_test/wer").unlink()
    (exp / "decode_test/scoring/utt2spk").unlink()
    (exp / "routing.json").unlink()
    with open(exp / "train.jsonl", "a", encoding="utf-8") as file:
        file.write('{"type": "step", "st')
    _, found = render(tmp_path)
    for expected in (
        "model_info.json does not exist; training has not finished (stage 3)",
        "cmd.txt: the command is not known",
        "train.jsonl: 1 lines could not be read",
        "decode_test has no wer and cer: score this set (stage 5)",
        "decode_test/load.json: no load of the experts on this set",
        f"routing.json does not exist: no pictures of the routing; run omni-asr analyze-routing {exp}",
        "decode_test_noisy does not exist: decode this set (stage 4)",
        "decode_test/scoring/utt2spk does not exist: no aligned utterances (stage 5)",
    ):
        assert expected in found.seen, expected


def test_a_malformed_part_of_the_routing_is_named_and_the_others_shown(tmp_path, folder):
    exp = tmp_path / "exp" / "omni_base"
    shutil.copytree(folder / "exp/omni_base", exp)
    content = write_routing(exp, experts=[4] * 4, example=False, perturbations=False)
    del content["load"]["share"][2][1]
    (exp / "routing.json").write_text(json.dumps(content))
    text, found = render(tmp_path)
    assert "routing.json: load cannot be read (share has 3 entries, not 4)" in found.seen
    assert "Experts by token" in found.seen and "Load and certainty" not in found.seen
    assert "analyze-routing --disturb N measures them" in found.seen


def test_an_empty_folder_gives_a_page(tmp_path):
    pytest.importorskip("matplotlib")
    (tmp_path / "exp/omni_base").mkdir(parents=True)
    _, found = render(tmp_path)
    assert "train.jsonl does not exist" in found.seen and "unknown" in found.seen


def test_a_restarted_training_counts_each_step_once(tmp_path):
    exp = tmp_path / "exp" / "omni_x"
    exp.mkdir(parents=True)
    lines = [{"type": "step", "step": step, "ctc": ctc} for step, ctc in [(1, 9.0), (2, 8.0), (3, 7.0), (2, 6.0)]]
    (exp / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = read_experiment(exp, tmp_path, [])
    assert [(line["step"], line["ctc"]) for line in found.steps] == [(1, 9.0), (2, 6.0), (3, 7.0)]


def test_text_of_files_is_escaped(tmp_path, folder):
    exp = tmp_path / "exp" / "omni_base"
    shutil.copytree(folder / "exp/omni_base", exp)
    bad = "<script>alert(1)</script>&"
    (exp / "cmd.txt").write_text(f"omni-asr train {bad}\n")
    info = json.loads((exp / "model_info.json").read_text())
    (exp / "model_info.json").write_text(json.dumps(info | {"router": bad, "config": bad, "experts": bad, "seed": bad}))
    for path, value in (("data/test/text", f"voice<b> {bad}"), ("data/test/utt2spk", "voice<b> spk<i>")):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(f"{value}\n")
    (exp / "decode_test/text").write_text(f"voice<b> {bad}x{bad}\n")
    score(tmp_path / "data/test", exp / "decode_test")
    text, found = render(tmp_path, sets=["test"])
    assert "<script" not in text and "<b>" not in text.replace("<b>Not in", "").replace("<b>voice&lt;b&gt;", "")
    assert bad in found.seen and "voice<b>" in found.seen


def test_values_that_are_not_finite_are_left_out(tmp_path):
    pytest.importorskip("matplotlib")
    exp = tmp_path / "exp/omni_base"
    exp.mkdir(parents=True)
    lines = [
        {"type": "step", "step": step, "loss": float("nan"), "ctc": 3.0, "grad_norm": float("inf"), "load": "?"}
        for step in range(5)
    ]
    (exp / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    text, _ = render(tmp_path)
    assert text.count("<svg") == 6


def test_load_scale():
    assert page.effective_experts([0.25] * 4) == pytest.approx(4)
    assert page.effective_experts([1, 0, 0, 0]) == 1 and page.effective_experts([]) == 0
    assert page.scale(1.0) == "rgb(255,255,255)" and page.scale(2.0) == page.scale(7.0) != page.scale(0.0)
    ragged = page.load_table("set", [[0.5, 0.5], [0.1] * 10])
    assert ragged.count("<td") == 10 + 10 + 2


def test_without_matplotlib_it_says_what_to_type(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert run_program(report.main, [str(tmp_path), "test"]) == 1
    error = capsys.readouterr().err
    assert "type: pip install matplotlib" in error and error.count("\n") == 1


def test_no_such_experiment(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    assert run_program(report.main, [str(tmp_path / "exp/none"), "test"]) == 1
    assert "exp/none is no directory" in capsys.readouterr().err


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium to draw the page with")
def test_a_browser_draws_it(folder, tmp_path):
    render(folder)
    picture = tmp_path / "report.png"
    page_file = folder / "exp/omni_base/report/index.html"
    browse(page_file, tmp_path / "browser", f"--screenshot={picture}", "--window-size=1200,1200")
    assert Path(picture).stat().st_size > 50_000
