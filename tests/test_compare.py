"""The comparison of made-up experiments."""

import json
import re
import shutil
import statistics
from pathlib import Path

import numpy as np
import pytest
from report_helpers import SETS, Page, make_experiment
from routing_helpers import write_routing

pytest.importorskip("matplotlib")

from omni_asr.analysis import compare_plots
from omni_asr.analysis.conclusions import conclusions
from omni_asr.analysis.differences import Difference, over_seeds, probability
from omni_asr.analysis.experiment import DecodedSet, Experiment, read_experiment
from omni_asr.analysis.groups import Group, Model, distinct_labels, group_models
from omni_asr.bin import compare, run_program
from omni_asr.scoring.results import Rate, read_rate, update
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


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    """Three seeds of two routers, one seed of a third."""
    folder = tmp_path_factory.mktemp("seeds")
    for router, errors in (("dense", (0.20, 0.21, 0.22)), ("omni", (0.03, 0.04, 0.05)), ("switch", (0.1,))):
        for seed, error in enumerate(errors, 1):
            make_experiment(folder, router, seed, error, steps=1000, sets=["test"])
    return folder


def all_of(folder):
    return sorted(path.name for path in (folder / "exp").iterdir())


def test_several_seeds_are_tested_as_such(seeds, capsys):
    run(seeds, *all_of(seeds))
    lines = printed(capsys)["test: means and standard deviations over seeds, Welch's t-test"]
    assert [line[0] for line in lines[1:]] == ["dense_base", "omni_base", "switch_base"]
    rates = {name: read_rate(seeds / f"exp/{name}/decode_test/wer").percent for name in all_of(seeds)}
    dense, omni = ([rates[name] for name in rates if name.startswith(router)] for router in ("dense", "omni"))
    assert lines[1][1] == f"{statistics.mean(dense):.2f} ± {statistics.stdev(dense):.2f} (3)"
    assert lines[1][2] == str(Difference(welch(dense, omni), "↑")) and "*" in lines[1][2]
    assert lines[1][3] == "-" and lines[3][1] == f"{rates['switch_base']:.2f} (1)"


def test_the_first_lines_answer_whether_the_routers_differ(seeds, capsys):
    _, found = run(seeds, *all_of(seeds))
    first, *_ = capsys.readouterr().out.split("\n\n")
    question, answer, basis = first.splitlines()
    assert question == "Do these routers differ?" and basis.startswith("  By Welch's t-test over seeds.")
    assert re.fullmatch(
        r"  test: omni_base is better than dense_base \(p = \S+\); not tested for want of a second seed: switch_base\.",
        answer,
    )
    assert f"dense_base and 2 others {question} {answer.strip()} {basis.strip()}" in found.seen


def test_single_runs_stand_below_the_routers_and_are_folded(seeds, capsys):
    """Two seeds of one model differ by MAPSSWE, which says nothing of routers."""
    text, found = run(seeds, *all_of(seeds))
    assert "MAPSSWE" not in capsys.readouterr().out
    table, rest = text[text.index('<section id="results">') :].split("</table>", 1)
    assert [line.count("</td>") for line in table.split("<tr>")[2:]] == [5, 5, 5], "a row for each router"
    assert "Welch" in rest and rest.index("Welch") < rest.index("<details>") < rest.index("MAPSSWE")
    assert re.findall('<section id="(.*?)">', text)[0::5] == ["results", "runs"]
    assert found.seen.index("omni_base_s2") > found.seen.index("7 runs one by one"), "not even named before"
    text, _ = run(seeds, *all_of(seeds), options=["--runs"])
    out = capsys.readouterr().out
    assert out.index("Welch's t-test\n") < out.index("MAPSSWE") and "<details open>" in text


def test_a_router_s_row_has_its_mean_deviation_and_difference(seeds):
    text, _ = run(seeds, *all_of(seeds))
    rates = [read_rate(seeds / f"exp/{name}/decode_test/wer").percent for name in all_of(seeds)]
    means = [statistics.mean(part) for part in (rates[:3], rates[3:6], rates[6:])]
    count, cell = row(text, "omni_base")[:2]
    assert count.endswith(">3") and f"{means[1]:.2f} ± {statistics.stdev(rates[3:6]):.2f}" in cell
    assert "class=best" in cell and f"−{100 * (1 - means[1] / means[0]):.1f} %" in cell and "*" in cell
    count, cell = row(text, "switch_base")[:2]
    assert count.endswith(">1") and f"{means[2]:.2f}<" in cell and "±" not in cell and "*" not in cell


def test_a_seed_without_a_result_on_a_set_is_missed_there(tmp_path, seeds, capsys):
    shutil.copytree(seeds, tmp_path, dirs_exist_ok=True)
    (tmp_path / "exp/omni_base_s2/decode_test/wer").unlink()
    (tmp_path / "exp/omni_base_s3/decode_test/wer").unlink()
    text, _ = run(tmp_path, "dense_base", "dense_base_s2", "omni_base", "omni_base_s2", options=["--sets", "test"])
    assert "not tested for want of a second seed: omni_base." in capsys.readouterr().out
    assert "1 of 2 seeds" in row(text, "omni_base")[1]


def test_an_answer_about_many_routers_stays_short(tmp_path):
    """Pairs that may be chance are counted where they are many; routers with one seed stand together."""

    def group(name, *rates):
        decoded = [DecodedSet("test", Rate(rate, 1, 1, 0, 0, 0, "verbatim", "words")) for rate in rates]
        return Group(name, [Model(Experiment(tmp_path, sets=[one]), name, "red") for one in decoded])

    groups = [group(name, 20 + shift, 22 + shift) for name, shift in (("a", 0), ("b", 0.1), ("c", 0.2), ("d", 0.3))]
    groups += [group("e", 1, 1.1), group("f", 20), group("g", 20)]
    (answer,) = conclusions(groups, [over_seeds(groups, 0)])
    p = {name: probability(welch([1, 1.1], others.rates(0))) for name, others in zip("abcd", groups, strict=False)}
    assert answer == (
        f"test: e is better than a (p = {p['a']}), b (p = {p['b']}), c (p = {p['c']}) and d (p = {p['d']}); "
        "no difference is shown at 5 % between 6 pairs; not tested for want of a second seed: f and g."
    )


def test_one_run_of_each_router_says_little_of_routers(folder, capsys):
    text, found = run(folder, "dense_base", "omni_base")
    out = capsys.readouterr().out
    assert "Unknown: there is one run of each" in found.seen and "Unknown: there is one run of each" in out
    assert "(MAPSSWE)" in out and "Welch" not in out
    assert "<details" not in text and "<h3>Models</h3>" in text


def test_seeds_of_one_router_have_nothing_to_be_compared_with(seeds, capsys):
    run(seeds, "omni_base", "omni_base_s2")
    out = capsys.readouterr().out
    assert "there is no other router to compare it with" in out
    assert out.index("Welch's t-test") < out.index("(MAPSSWE)")


def test_rates_that_do_not_vary_are_not_tested(tmp_path, folder, capsys):
    for router in ("dense", "omni"):
        for seed in (1, 2):
            copy = tmp_path / f"exp/{router}_base_s{seed}"
            shutil.copytree(folder / f"exp/{router}_base", copy)
            info = json.loads((copy / "model_info.json").read_text())
            (copy / "model_info.json").write_text(json.dumps({**info, "seed": seed}))
    run(tmp_path, *all_of(tmp_path))
    assert "test: not tested, since their rates do not vary: dense_base and omni_base." in capsys.readouterr().out


def test_other_weights_and_tags_are_no_further_seeds(tmp_path, capsys):
    """The groups are those of RESULTS.md, but a seed that is there twice has a row of its own."""
    for seed in (1, 2):
        make_experiment(tmp_path, "omni", seed, 0.1 * seed, steps=100, sets=["test"])
    for name in ("omni_base_best", "omni_base_s9", "other/omni_base"):
        shutil.copytree(tmp_path / "exp/omni_base", tmp_path / "exp" / name)
    names = ["omni_base", "omni_base_s2", "omni_base_best", "omni_base_s9", "other/omni_base"]
    run(tmp_path, *names)
    lines = printed(capsys)["test: means and standard deviations over seeds, Welch's t-test"]
    found = [(Path(line[0]).name, line[1].split()[-1]) for line in lines[1:] if line[0] != "other/omni_base"]
    assert len(found) == len(lines) - 2 == 3
    assert found == [("omni_base", "(2)"), ("omni_base_best", "(1)"), ("omni_base_s9", "(1)")]
    for name in names:
        update(tmp_path / "RESULTS.md", tmp_path / "exp" / name, ["test"])
    block = (tmp_path / "RESULTS.md").read_text().split("<!-- summary -->")[1].split("<!-- /summary -->")[0]
    rows = [line.split(" | ") for line in block.splitlines() if line.startswith("| omni")]
    assert [(f"omni_{row[1]}", f"({row[5]})") for row in rows] == found


def test_the_same_seeds_of_two_folders_are_two_routers(tmp_path, seeds, capsys):
    """Such as those of two states of the code."""
    for folder in ("before", "after"):
        for name in ("omni_base", "omni_base_s2"):
            shutil.copytree(seeds / "exp" / name, tmp_path / "exp" / folder / name)
    run(tmp_path, "before/omni_base", "after/omni_base", "before/omni_base_s2", "after/omni_base_s2")
    lines = printed(capsys)["test: means and standard deviations over seeds, Welch's t-test"]
    assert [(line[0], line[1].split()[-1]) for line in lines[1:]] == [
        ("before/omni_base", "(2)"),
        ("after/omni_base", "(2)"),
    ]
    assert lines[1][2] == "1.000"


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


def test_a_router_has_one_colour_and_a_band_from_its_lowest_to_its_highest_seed(seeds, monkeypatch):
    monkeypatch.setattr(compare_plots, "svg", lambda figure: figure.axes[0])
    names = ["omni_base", "omni_base_s2", "omni_base_s3", "switch_base"]
    groups = group_models([read_experiment(seeds / "exp" / name, seeds / "data", []) for name in names])
    colours = ["#0072b2", "#e69f00"]
    assert [(group.name, group.colour) for group in groups] == [("omni_base", colours[0]), ("switch_base", colours[1])]
    panels = compare_plots.training(groups)
    for axis in panels:
        assert [line.get_color() for line in axis.lines] == colours and len(axis.collections) == 1, "one seed, no band"
    wer = [[record["wer"] for record in model.experiment.valid] for model in groups[0].models]
    assert panels[2].lines[0].get_ydata() == pytest.approx(np.mean(wer, axis=0))
    corners = panels[2].collections[0].get_paths()[0].vertices
    for step, low, high in zip(panels[2].lines[0].get_xdata(), np.min(wer, axis=0), np.max(wer, axis=0), strict=True):
        band = [y for x, y in corners if x == step]
        assert (min(band), max(band)) == pytest.approx((low, high))


def test_disturbed_decisions_are_drawn_in_the_colour_of_the_router(seeds, monkeypatch):
    monkeypatch.setattr(compare_plots, "svg", lambda figure: figure.axes[0])
    names = ["omni_base", "omni_base_s2", "switch_base"]
    groups = group_models([read_experiment(seeds / "exp" / name, seeds / "data", []) for name in names])
    curves = {line.get_label(): line for line in compare_plots.perturbations(groups).lines}
    for model in [*groups[0].models, *groups[1].models]:
        points = json.loads((model.experiment.path / "routing.json").read_text())["perturbations"]["reroute"]
        assert curves[model.label].get_color() == model.colour
        assert curves[model.label].get_ydata()[1:] == pytest.approx([point["wer"] for point in points])


def test_a_seed_that_is_still_trained_ends_the_line_of_its_router(tmp_path, monkeypatch):
    monkeypatch.setattr(compare_plots, "svg", lambda figure: figure.axes[0])
    models = []
    for seed, steps in enumerate(([100, 200, 300], [100, 250]), 1):
        experiment = Experiment(tmp_path, valid=[{"step": step, "wer": 1000 * seed + step} for step in steps])
        models.append(Model(experiment, str(seed), "red"))
    line = compare_plots.training([Group("omni", models)])[2].lines[0]
    assert list(line.get_xdata()) == [100, 200, 250]
    assert list(line.get_ydata()) == pytest.approx([1600, 1700, 1750])


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
