"""The comparison of made-up experiments."""

import json
import re
import shutil
import statistics

import pytest
from report_helpers import SETS, Page, make_experiment
from routing_helpers import write_routing

pytest.importorskip("matplotlib")

from omni_asr.analysis import compare_plots
from omni_asr.analysis.differences import Difference
from omni_asr.analysis.experiment import Experiment, read_experiment
from omni_asr.analysis.groups import Group, Model, distinct_labels, group_models
from omni_asr.bin import compare, run_program
from omni_asr.scoring.results import read_rate, update
from omni_asr.scoring.score import score as score_set
from omni_asr.scoring.seeds import welch
from omni_asr.scoring.significance import matched_pairs


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipe")
    for router, errors in (("dense", 0.15), ("switch", 0.14), ("omni", 0.03)):
        make_experiment(folder, router, errors=errors)
    return folder


def run(folder, *names, options=()):
    """Compare and return the page's text and what a reader sees."""
    paths = [str(folder / "exp" / name) for name in names]
    out = folder / "compare.html"
    assert run_program(compare.main, [*paths, "--out", str(out), "--data-dir", str(folder / "data"), *options]) == 0
    text = out.read_text(encoding="utf-8")
    return text, Page(text)


def row(text, name):
    """Cells of an experiment in the table of error rates."""
    table = text[text.index('<section id="results">') :]
    line = next(line for line in table.split("</tr>") if f"{name}</td>" in line)
    return line.split("</td>")[1:-1]


def test_complete_comparison(folder):
    text, found = run(folder, "dense_base", "switch_base", "omni_base")
    assert "dense_base and 2 others" in found.seen and "5.21 M" in found.seen and "4x4" in found.seen
    assert "Not in this report" not in found.seen
    assert all(link.startswith(("#", "data:")) for link in found.links) and "<script" not in text
    sections = ["results", "training", "agreement", "load", "disturbed"]
    assert re.findall('<section id="(.*?)">', text) == sections
    assert text.count("<svg") == 3 + 3


def test_rates_differences_and_marks(folder):
    text, _ = run(folder, "dense_base", "switch_base", "omni_base")
    wer = {
        (name, test_set): read_rate(folder / f"exp/{name}/decode_{test_set}/wer").percent
        for name in ("dense_base", "switch_base", "omni_base")
        for test_set in SETS
    }
    for name in ("dense_base", "switch_base", "omni_base"):
        for cell, test_set in zip(row(text, name), SETS, strict=True):
            assert f"{wer[name, test_set]:.2f}" in cell
            lowest = wer[name, test_set] == min(wer[other, test_set] for other, _ in wer)
            assert ('class="best"' in cell) == lowest
            change = 100 * (wer[name, test_set] / wer["dense_base", test_set] - 1)
            sign = "−" if change < 0 else "+"
            assert (f"{sign}{abs(change):.1f} %" in cell) == (name != "dense_base")
    assert "***" in row(text, "omni_base")[0], "half the errors or less is significant"
    assert not any("*" in cell for cell in row(text, "dense_base"))


def printed(capsys):
    """Lines of each matrix on the terminal, by its title."""
    blocks = [block.splitlines() for block in capsys.readouterr().out.split("\n\n")]
    return {block[0]: [re.split(r"  +", line.strip()) for line in block[1:]] for block in blocks}


def test_the_terminal_and_the_page_show_every_pair(folder, capsys):
    names = ["dense_base", "switch_base", "omni_base"]
    _, found = run(folder, *names, options=["--tests", "all"])
    matrices = printed(capsys)
    titles = [title for title in matrices if ": " in title and title.split(":")[0] in SETS]
    assert len(titles) == 4 * len(SETS) and all(title in found.seen for title in titles)
    lines = matrices["test: matched pairs of segments (MAPSSWE)"]
    assert lines[0] == ["WER", "switch_base", "omni_base"] and [line[0] for line in lines[1:]] == names
    rate = read_rate(folder / "exp/dense_base/decode_test/wer").percent
    assert re.fullmatch(rf"{rate:.2f} \[\d+\.\d\d, \d+\.\d\d\]", lines[1][1])
    a, b = (read_experiment(folder / "exp" / name, folder / "data", ["test"]).sets[0] for name in names[:2])
    assert lines[1][2] == f"{matched_pairs(a.utterances, b.utterances).p:.3f}"
    assert lines[1][3].startswith("↑ ") and lines[1][3].endswith(" ***"), "omni is better than dense"


def test_several_seeds_are_tested_as_such(tmp_path, capsys):
    for router, errors in (("dense", (0.20, 0.21, 0.22)), ("omni", (0.03, 0.04, 0.05)), ("switch", (0.1,))):
        for seed, error in enumerate(errors, 1):
            make_experiment(tmp_path, router, seed, error, steps=100, sets=["test"])
    names = sorted(path.name for path in (tmp_path / "exp").iterdir())
    run(tmp_path, *names)
    lines = printed(capsys)["test: means and standard deviations over seeds, Welch's t-test"]
    assert [line[0] for line in lines[1:]] == ["dense_base", "omni_base", "switch_base"]
    rates = {name: read_rate(tmp_path / f"exp/{name}/decode_test/wer").percent for name in names}
    dense, omni = ([rates[name] for name in names if name.startswith(router)] for router in ("dense", "omni"))
    assert lines[1][1] == f"{statistics.mean(dense):.2f} ± {statistics.stdev(dense):.2f} (3)"
    assert lines[1][2] == str(Difference(welch(dense, omni), "↑")) and "*" in lines[1][2]
    assert lines[1][3] == "-" and lines[3][1] == f"{rates['switch_base']:.2f} (1)"


def test_other_weights_and_tags_are_no_further_seeds(tmp_path, capsys):
    """The groups are those of RESULTS.md: a name may look like a seed's, and one seed may be there twice."""
    for seed in (1, 2):
        make_experiment(tmp_path, "omni", seed, 0.1 * seed, steps=100, sets=["test"])
    for name in ("omni_base_best", "omni_base_s9", "other/omni_base"):
        shutil.copytree(tmp_path / "exp/omni_base", tmp_path / "exp" / name)
    names = ["omni_base", "omni_base_s2", "omni_base_best", "omni_base_s9", "other/omni_base"]
    run(tmp_path, *names)
    lines = printed(capsys)["test: means and standard deviations over seeds, Welch's t-test"]
    found = [(line[0], line[1].split()[-1]) for line in lines[1:]]
    assert found == [("omni_base", "(2)"), ("omni_base_best", "(1)"), ("omni_base_s9", "(1)")]
    for name in names:
        update(tmp_path / "RESULTS.md", tmp_path / "exp" / name, ["test"])
    block = (tmp_path / "RESULTS.md").read_text().split("<!-- summary -->")[1].split("<!-- /summary -->")[0]
    rows = [line.split(" | ") for line in block.splitlines() if line.startswith("| omni")]
    assert [(f"omni_{row[1]}", f"({row[5]})") for row in rows] == found


def test_models_of_another_corpus_are_no_further_seeds(tmp_path, capsys):
    for seed, error in enumerate((0.20, 0.21, 0.03, 0.04), 1):
        make_experiment(tmp_path, "omni", seed, error, steps=100, sets=["test"])
        path = next((tmp_path / "exp").glob(f"*{seed}" if seed > 1 else "omni_base")) / "model_info.json"
        info = json.loads(path.read_text())
        path.write_text(json.dumps({**info, "hours": 2.0 if seed < 3 else 81.3}))
    run(tmp_path, *sorted(path.name for path in (tmp_path / "exp").iterdir()))
    lines = printed(capsys)["test: means and standard deviations over seeds, Welch's t-test"]
    assert [line[0] for line in lines[1:]] == ["omni_base (5.21 M, 2.0 h)", "omni_base (5.21 M, 81.3 h)"]
    assert all(line[1].endswith("(2)") for line in lines[1:])


def test_equal_hypotheses_get_no_mark(tmp_path, folder):
    shutil.copytree(folder / "exp/omni_base", tmp_path / "exp/omni_base")
    shutil.copytree(folder / "exp/omni_base", tmp_path / "exp/omni_twin")
    text, _ = run(tmp_path, "omni_base", "omni_twin")
    assert "+0.0 %" in row(text, "omni_twin")[0] and "*" not in row(text, "omni_twin")[0]


def test_the_default_are_the_sets_scored_in_all(tmp_path, folder):
    shutil.copytree(folder / "exp", tmp_path / "exp")
    (tmp_path / "exp/omni_base/decode_test/wer").unlink()
    text, found = run(tmp_path, "dense_base", "omni_base")
    assert len(row(text, "omni_base")) == 1 and "test_noisy" in found.seen
    text, found = run(tmp_path, "dense_base", "omni_base", options=["--sets", "test_noisy", "test"])
    assert row(text, "omni_base")[1].endswith("–")
    assert "omni_base: decode_test has no wer and cer: score this set (stage 5)" in found.seen


def test_utterances_that_differ_are_not_tested(tmp_path, folder):
    shutil.copytree(folder / "exp", tmp_path / "exp")
    path = tmp_path / "exp/omni_base/decode_test/scoring/per_utt"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[4:]))
    (tmp_path / "exp/omni_base/decode_test_noisy/scoring/per_utt").unlink()
    text, found = run(tmp_path, "dense_base", "omni_base")
    assert "dense_base and omni_base were not tested on test: " in found.seen
    assert "dense_base and omni_base were not tested on test_noisy: no aligned utterances" in found.seen
    assert not any("*" in cell for cell in row(text, "omni_base"))


def test_without_routing_the_load_of_decoding_is_shown(tmp_path, folder):
    shutil.copytree(folder / "exp", tmp_path / "exp")
    (tmp_path / "exp/omni_base/routing.json").unlink()
    text, found = run(tmp_path, "dense_base", "omni_base")
    assert 'id="load"' in text and 'id="agreement"' not in text and 'id="disturbed"' not in text
    assert "omni_base: routing.json does not exist" in found.seen and "dense_base: routing" not in found.seen


def test_curves_of_every_model_have_its_colour(tmp_path, folder, monkeypatch):
    monkeypatch.setattr(compare_plots, "svg", lambda figure: figure.axes)
    colours = {"switch_base": "#0072b2", "omni_base": "#e69f00"}
    models = [
        Model(read_experiment(folder / "exp" / name, folder / "data", []), name, colour)
        for name, colour in colours.items()
    ]
    for axis in compare_plots.training(models):
        assert [line.get_color() for line in axis.lines] == list(colours.values())
    curves = compare_plots.perturbations(models)[0]
    by_label = {line.get_label(): line for line in curves.lines}
    for model in models:
        points = json.loads((model.experiment.path / "routing.json").read_text())["perturbations"]["reroute"]
        assert by_label[model.label].get_color() == model.colour
        assert by_label[model.label].get_ydata()[1:] == pytest.approx([point["wer"] for point in points])


def test_agreement_of_models_of_different_depth_has_one_scale(tmp_path, monkeypatch):
    models = []
    for depth in (2, 5, 13, 1, 4):
        path = tmp_path / f"omni_{depth}"
        path.mkdir()
        write_routing(path, experts=[4] * depth)
        models.append(Model(read_experiment(path, tmp_path, []), "a_name_too_long_for_a_panel_" * 2, "red"))
    monkeypatch.setattr(compare_plots, "svg", lambda figure: figure.axes)
    panels = [axis for axis in compare_plots.agreement(models, "nmi") if axis.get_title("left")]
    assert [panel.collections[0].get_array().shape[0] for panel in panels] == [2, 5, 13, 4], "one layer is no pair"
    assert {panel.collections[0].get_clim() for panel in panels} == {(0, 1)}
    monkeypatch.undo()
    assert compare_plots.agreement([Model(Experiment(tmp_path), "none", "red")], "nmi") == ""


def test_folders_of_one_name_are_told_apart(tmp_path):
    paths = [tmp_path / name for name in ("a/exp/omni", "b/exp/omni", "b/exp/dense")]
    assert distinct_labels(paths) == ["a/exp/omni", "b/exp/omni", "b/exp/dense"]
    assert distinct_labels(paths[1:]) == ["omni", "dense"]


def test_hostile_names(tmp_path, folder):
    for name in ("<i>$a$", "<b>{x}"):
        shutil.copytree(folder / "exp/omni_base", tmp_path / "exp" / name)
    text, found = run(tmp_path, "<i>$a$", "<b>{x}")
    assert "<i>$" not in text and "<b>{" not in text and "<i>$a$ and <b>{x}" in found.seen


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (["omni_base"], [], "give two experiments or more"),
        (["omni_base", "omni_base/../omni_base"], [], "is given twice"),
        (["omni_base", "none"], [], "none is no directory"),
        (["omni_base", "empty"], [], "empty is no experiment"),
        (["omni_base", "untested"], [], "no scored set in common"),
        (["omni_base", "dense_base"], ["--sets", "test", "tset"], "set tset is scored in none"),
    ],
)
def test_mistakes_are_one_line(tmp_path, folder, capsys, names, options, message):
    shutil.copytree(folder / "exp", tmp_path / "exp")
    (tmp_path / "exp/empty").mkdir()
    (tmp_path / "exp/untested").mkdir()
    (tmp_path / "exp/untested/model_info.json").write_text("{}")
    paths = [str(tmp_path / "exp" / name) for name in names]
    assert run_program(compare.main, [*paths, "--out", str(tmp_path / "c.html"), *options]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and not (tmp_path / "c.html").exists()


def test_a_difference_that_is_the_same_everywhere(tmp_path, capsys):
    """The matched pairs say nothing of it, as in sc_stats; the other tests do."""
    good, bad = (make_experiment(tmp_path, router, errors=0.0, sets=["test"]) for router in ("omni", "dense"))
    text = (tmp_path / "data/test/text").read_text().splitlines()
    for exp, more in ((good, ""), (bad, " more")):
        (exp / "decode_test/text").write_text("".join(f"{line}{more}\n" for line in text))
        score_set(tmp_path / "data/test", exp / "decode_test")
    run(tmp_path, "omni_base", "dense_base", options=["--tests", "all"])
    cells = {
        title: lines[1][2] for title, lines in printed(capsys).items() if title.startswith("test: ") and len(lines) > 2
    }
    assert cells.pop("test: matched pairs of segments (MAPSSWE)") == "1.000"
    assert len(cells) == 3 and all(cell.startswith("← ") for cell in cells.values())
