"""Figures of the routing: do they show the numbers of ``routing.json``?"""

import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from routing_helpers import FRAME_SECONDS, make_routing, write_routing

pytest.importorskip("matplotlib")

from omni_asr.analysis import drawing, example_plot, perturbation_plots, routing_page, routing_plots
from omni_asr.analysis.routing_file import read_routing

FIGURES = [
    routing_plots.agreement, routing_plots.load, routing_plots.dynamics, routing_plots.by_token, routing_plots.by_kind,
    example_plot.example, perturbation_plots.perturbations,
]  # fmt: skip
UNEQUAL = {"experts": [4, 4, 8, 16], "groups": [0, 0, 1, 2]}


def parsed(folder, content):
    (folder / "routing.json").write_text(json.dumps(content), encoding="utf-8")
    routing, unread = read_routing(folder / "routing.json", "it")
    assert unread == []
    return routing


@pytest.fixture
def axes(monkeypatch, tmp_path):
    """Draw one figure of a made-up routing and return its axes instead of an SVG."""

    def draw(figure, **changes):
        content = make_routing(**changes)
        for module in (routing_plots, example_plot, perturbation_plots):
            monkeypatch.setattr(module, "svg", lambda drawn: drawn.axes)
        return figure(parsed(tmp_path, content)), content

    return draw


def cells(axis):
    """Numbers of a heat map, NaN where there is none."""
    return np.ma.filled(axis.collections[0].get_array(), np.nan)


@pytest.mark.parametrize("changes", [{}, UNEQUAL, {"experts": [8] * 26}, {"experts": [20, 1]}, {"experts": [4]}])
def test_every_figure_is_well_formed(tmp_path, changes):
    routing = parsed(tmp_path, make_routing(**changes, sets=("a", "b<&>", "c", "d")))
    for figure in FIGURES:
        text = figure(routing)
        if figure is routing_plots.agreement and len(routing.experts) == 1:
            assert text == "", "one layer agrees with none"
        else:
            assert ElementTree.fromstring(text).tag.endswith("svg")


def test_parts_that_were_not_computed_give_no_figure(tmp_path):
    routing = parsed(tmp_path, make_routing(perturbations=False, example=False))
    assert [figure.__name__ for figure in FIGURES if not figure(routing)] == ["example", "perturbations"]
    assert routing_page.section(routing, "omni").count("<svg") == 5
    assert routing_page.section(None, "omni") == ""


def test_agreement_shows_the_matrices_on_one_scale(axes):
    (raw, matched, nmi, _), content = axes(routing_plots.agreement, **UNEQUAL)
    for axis, name in ((raw, "raw"), (matched, "matched"), (nmi, "nmi")):
        np.testing.assert_allclose(cells(axis), np.array(content["agreement"][name], dtype=float))
        assert axis.collections[0].get_clim() == (0, 1)
        assert f"mean {content['agreement']['mean'][name]:.2f}" in axis.get_title("left")
    assert len(raw.patches) == 10, "pairs of layers with different numbers of experts are hatched"
    assert len(matched.patches) == 0 and len(matched.texts) == 16


def test_many_layers_are_not_annotated(axes):
    (raw, *_), _ = axes(routing_plots.agreement, experts=[4] * 13)
    assert len(raw.texts) == 0


def test_load_bars_are_the_shares(axes):
    (bars, entropy), content = axes(routing_plots.load, **UNEQUAL)
    widths = [patch.get_width() for patch in bars.patches]
    np.testing.assert_allclose(widths, 100 * np.concatenate(content["load"]["share"]))
    limits, usage, frame = (line.get_xdata() for line in entropy.lines)
    assert limits.tolist() == [2, 2, 3, 4]
    assert usage.tolist() == content["load"]["usage_entropy"] and frame.tolist() == content["load"]["frame_entropy"]


def test_experts_that_are_never_used_are_named(tmp_path):
    content = make_routing()
    content["load"]["dead"][2] = [0, 4]
    assert "no frame went to: layer 3: 1, 5." in routing_page._load_note(parsed(tmp_path, content))


def test_raw_agreement_is_said_to_mean_nothing_for_switch_alone():
    assert "raw agreement means nothing" in routing_page._agreement_note("switch")
    assert "raw agreement means nothing" not in routing_page._agreement_note("omni")


def test_tokens_keep_their_shares_when_they_are_sorted(axes):
    (first, middle, last, _), content = axes(routing_plots.by_token)
    tokens = content["specialisation"]["tokens"]
    names = [label.get_text() for label in first.get_yticklabels()]
    assert sorted(names) == sorted(tokens["names"])
    for axis, layer in ((first, 0), (middle, 2), (last, 4)):
        rows = [tokens["share"][layer][tokens["names"].index(name)] for name in names]
        np.testing.assert_allclose(cells(axis), 100 * np.array(rows))
    assert np.all(np.diff(cells(middle).argmax(1)) >= 0)


def test_the_example_shares_one_time_axis(axes):
    (spectrogram, strips, tokens), content = axes(example_plot.example, experts=[3, 16])
    chosen = np.array(content["example"]["experts"])
    seconds = chosen.shape[1] * FRAME_SECONDS
    np.testing.assert_array_equal(strips.images[0].get_array(), chosen)
    for image in (spectrogram.images[0], strips.images[0]):
        assert image.get_extent()[:2] == pytest.approx([0, seconds])
        assert image.axes.get_xlim() == pytest.approx((0, seconds))
    assert strips.get_ylim()[0] > strips.get_ylim()[1], "layer 1 is on top"
    places = {text.get_position()[0]: text.get_text() for text in tokens.texts}
    middle = [(token["start"] + token["end"]) / 2 for token in content["example"]["tokens"]]
    assert sorted(places) == pytest.approx(middle)
    assert [places[time] for time in sorted(places)] == [token["token"] for token in content["example"]["tokens"]]


def test_the_spectrogram_follows_the_stacking_of_frames_where_a_frame_is_not_10_ms(axes, monkeypatch):
    content = make_routing()
    content["example"]["frame_seconds"] = 0.05  # 4 frames of 12.5 ms
    content["example"]["fbank"] = content["example"]["fbank"][:-3]  # the last stack is not full
    monkeypatch.setattr("test_routing_plots.make_routing", lambda **changes: content)
    (spectrogram, *_), _ = axes(example_plot.example)
    assert spectrogram.images[0].get_extent()[1] == pytest.approx(len(content["example"]["fbank"]) * 0.0125)


def test_tokens_on_one_line_do_not_touch():
    tokens = [("▁seven", 0.1 * number, 0.1 * number + 0.04) for number in range(60)]
    places, lines = example_plot._place_tokens(tokens, 6.2)
    width = 0.62 * 6 * example_plot.TOKEN_SIZE / 72 / drawing.WIDTH * 6.2
    for line in range(lines):
        middles = [place[3] for place in places if place[4] == line]
        assert all(np.diff(middles) > width)
    assert lines > 1 and len(places) == 60


def test_perturbation_curves_begin_undisturbed(axes):
    (curve, removed, _), content = axes(perturbation_plots.perturbations, **UNEQUAL)
    part = content["perturbations"]
    line, permuted = curve.lines[:2]
    expected = [(0, part["wer"]), *((point["rate"], point["wer"]) for point in part["reroute"])]
    np.testing.assert_allclose(line.get_xydata(), expected)
    assert permuted.get_xydata().tolist() == [[perturbation_plots.PERMUTED, part["permuted"]]]
    assert any(np.allclose(other.get_ydata(), part["wer"]) for other in curve.lines[2:])
    shown = cells(removed)
    assert shown[0, :4] == pytest.approx(part["removed"][0]) and np.isnan(shown[0, 4:]).all()
    assert removed.collections[0].get_clim()[0] == part["wer"]


def test_colours_are_all_different():
    for number in (1, 8, 16, 40):
        assert len(set(drawing.expert_colours(number))) == number
        assert len(set(drawing.model_colours(number))) == number


def test_marks_of_many_cells_are_round_numbers():
    from matplotlib.figure import Figure

    axis = Figure().subplots()
    drawing.number_ticks(axis, "y", 26, most=14)
    assert [label.get_text() for label in axis.get_yticklabels()] == ["1", "5", "10", "15", "20", "25"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "is not JSON"),
        ("[]", "layers cannot be read"),
        ('{"layers": []}', "no layers"),
        ('{"layers": [{"group": 0, "experts": 0}]}', "no layers with experts"),
        ('{"layers": [{"group": 0}]}', "'experts' is missing"),
    ],
)
def test_a_file_without_layers_gives_nothing(tmp_path, text, reason):
    (tmp_path / "routing.json").write_text(text)
    routing, unread = read_routing(tmp_path / "routing.json", "omni-asr analyze-routing x")
    assert routing is None
    assert len(unread) == 1 and reason in unread[0] and "run again: omni-asr analyze-routing x" in unread[0]


def test_each_malformed_part_is_named_and_left_out(tmp_path):
    content = write_routing(tmp_path)
    content["agreement"]["nmi"].pop()
    content["time"]["run_ms"][0] = "long"
    content["specialisation"]["tokens"]["share"][1][2] = None
    content["paths"] = 3
    content["perturbations"]["reroute"][0] = {}
    content["example"]["tokens"][3]["end"] = float("nan")
    (tmp_path / "routing.json").write_text(json.dumps(content))
    routing, unread = read_routing(tmp_path / "routing.json", "it")
    names = ["agreement", "time", "paths", "specialisation", "perturbations", "example"]
    assert [sentence.split()[1] for sentence in unread] == names
    assert all(getattr(routing, name) is None for name in names) and routing.load is not None


def test_names_cannot_break_a_figure(tmp_path):
    content = make_routing()
    names = ["$x_$", "--><script>", "a\nb\0", " ", "\ud800", "{0}"]
    content["specialisation"]["tokens"]["names"][: len(names)] = names
    content["example"]["tokens"] = [{"token": name, "start": i, "end": i + 0.1} for i, name in enumerate(names)]
    content["example"]["utt"] = "<b>"
    content["specialisation"]["sets"]["names"] = ["{set}$"]
    page = routing_page.section(parsed(tmp_path, content), "omni")
    assert "<script" not in page and "<b>" not in page and "&lt;b&gt;" in page
    page.encode("utf-8")
