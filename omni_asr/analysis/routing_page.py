"""The section of the report on routing: figures, each with a sentence on how to read it, and a table of means."""

import math
from collections.abc import Sequence

from omni_asr.analysis import example_plot, page, perturbation_plots, routing_plots
from omni_asr.analysis.routing_file import RoutingResults

MEASURE_NOTES = {
    "raw": "share of the frames that go to the expert of the same number",
    "matched": "share of the frames that go to the same expert after the best renaming of one layer's experts",
    "nmi": "0 where the choice of one layer tells nothing of the other's, 1 where it tells all",
}
"""What each measure of the agreement between two layers says."""
MEANS_NOTE = "Means are over different layers of one group; hatched: the layers have different numbers of experts."
SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def section(routing: RoutingResults | None, router: str) -> str:
    """All that is known of the routing as HTML; empty where nothing is."""
    if not routing:
        return ""
    parts = [_summary(routing)]
    for title, sentence, picture in _figures(routing, router):
        if picture:
            parts.append(f'<h3>{title}</h3><p class="note">{sentence}</p>{page.figure(picture)}')
    if not routing.perturbations:
        parts.append('<p class="note">No disturbed decisions: omni-asr analyze-routing --disturb N measures them.</p>')
    return "".join(parts)


def _figures(routing: RoutingResults, router: str) -> list[tuple[str, str, str]]:
    """(Title, how to read it, SVG) of each figure."""
    return [
        ("Agreement between layers", _agreement_note(router), routing_plots.agreement(routing)),
        ("One utterance", _example_note(routing), example_plot.example(routing)),
        ("Load and certainty", _load_note(routing), routing_plots.load(routing)),
        (
            "Decisions over time, and what they tell",
            "Runs of frames on one expert that are longer than with the frames of each utterance shuffled are due to "
            "the order of speech. Mutual information is what the expert tells of the recognised token (the blank is "
            "one) or of the speaker; 0 is nothing.",
            routing_plots.dynamics(routing),
        ),
        ("Disturbed decisions", _perturbation_note(routing), perturbation_plots.perturbations(routing)),
        (
            "Experts by token",
            "Where the frames of the most frequent tokens go; tokens are sorted by their first expert in the middle "
            "layer. A layer whose dark cells stand in one column does not tell tokens apart; the bits are its mutual "
            "information.",
            routing_plots.by_token(routing),
        ),
        (
            "Experts by kind of frame and by set",
            "Where the frames go that the model labels blank, the others, and those of each set. Panels that look "
            "alike mean that routing does not tell these apart.",
            routing_plots.by_kind(routing),
        ),
    ]


def _agreement_note(router: str) -> str:
    arbitrary = " With switch every layer numbers its experts arbitrarily, so raw agreement means nothing."
    return (
        f"How alike two layers route the same frames. Raw: {MEASURE_NOTES['raw']}; matched: "
        f"{MEASURE_NOTES['matched']}; normalised mutual information: {MEASURE_NOTES['nmi']}. {MEANS_NOTE}"
        f"{arbitrary if router == 'switch' else ''}"
    )


def _example_note(routing: RoutingResults) -> str:
    part = routing.example or {}
    utterance = f"<span class=mono>{page.escape(part.get('utt', ''))}</span> of {page.escape(part.get('set', ''))}"
    text = f", recognised as “{page.escape(part['text'])}”" if part.get("text") else ""
    return (
        f"Utterance {utterance}{text}: log-mel spectrogram, the expert of every frame in each layer from the first at "
        "the top to the last, and tokens where the model outputs them. Bands of one colour through many layers are "
        "decisions that these layers share."
    )


def _load_note(routing: RoutingResults) -> str:
    dead = [
        f"layer {layer + 1}: {', '.join(str(expert + 1) for expert in experts)}"
        for layer, experts in enumerate((routing.load or {}).get("dead", []))
        if experts
    ]
    unused = f" Experts that no frame went to: {'; '.join(dead)}." if dead else ""
    return (
        "Usage entropy is highest where all experts get the same share; that of a frame is low where the router is "
        f"sure of its choice (mean entropy of its probabilities).{unused}"
    )


def _perturbation_note(routing: RoutingResults) -> str:
    part = routing.perturbations or {}
    return (
        f"WER on {_number(part.get('utterances'))} utterances ({_number(part.get('words'))} words) of "
        f"{page.escape(part.get('set', ''))}. Left: a share of the frames goes to random experts in every layer, or "
        "experts are permuted so that none keeps its frames; a flat curve means that experts do the same. Right: one "
        "expert is removed and its frames go to the next best."
    )


def _summary(routing: RoutingResults) -> str:
    rows: list[tuple[str, str, str]] = []
    if routing.agreement:
        mean = routing.agreement["mean"]
        for name, title in routing_plots.MEASURES.items():
            if mean[name] is not None:
                chance = routing.agreement["chance"].get(name)
                beside = f"; {_number(chance, 3)} for independent layers of these loads" if chance is not None else ""
                where = f"over pairs of different layers of one group{beside}"
                rows.append((f"{title}, mean", _number(mean[name], 3), where))
    rows += _path_rows(routing)
    if routing.time:
        run, control = (_mean(routing.time[name]) for name in ("run_ms", "shuffled_run_ms"))
        rows.append(("Run on one expert", f"{_number(run)} ms", f"{_number(control)} ms with frames shuffled"))
    if routing.load:
        usage, frame = (_mean(routing.load[name]) for name in ("usage_entropy", "frame_entropy"))
        rows.append(("Entropy of the usage", f"{_number(usage, 2)} bits", f"{_number(frame, 2)} bits of a frame"))
        worst = max((value for value in routing.load["max_over_mean"] if value is not None), default=None)
        rows.append(("Largest load", _number(worst, 2), "times that of an even load, in the most uneven layer"))
    if routing.specialisation:
        for kind, name in (("tokens", "token"), ("speakers", "speaker")):
            part = routing.specialisation[kind]
            bits, shifted = (_number(_mean(part[figure]), 3) for figure in ("mi_bits", "control_bits"))
            number = f"; {_number(part['number'])} speakers" if kind == "speakers" else ""
            beside = f"mean over layers; {shifted} bits with decisions shifted in time{number}"
            rows.append((f"Information on the {name}", f"{bits} bits", beside))
    frames = f"{_number(routing.frames)} frames of {', '.join(routing.sets) or 'unknown sets'}"
    lines = [page.row([page.escape(cell) for cell in row], numeric=9) for row in rows]
    return f'<p class="note">Measured on {page.escape(frames)}.</p>' + page.table(
        ["measure", "value", ""], lines, numeric=9
    )


def _path_rows(routing: RoutingResults) -> list[tuple[str, str, str]]:
    part = routing.paths
    if not part:
        return []
    distinct = _number(part["distinct"])
    if not part["complete"]:
        distinct = f"more than {distinct}"
    return [
        ("Paths through the layers", distinct, f"of {_number(part['possible'])} possible"),
        (
            "Paths of half of the frames",
            _number(part["cover_50"]),
            f"{_number(part['cover_90'])} for 90 % of the frames; entropy {_number(part['entropy_bits'], 1)} bits",
        ),
    ]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _number(value: float | None, digits: int = 0) -> str:
    """A number to so many digits; very large ones as a power of ten."""
    if value is None:
        return "unknown"
    if value >= 1e12:
        power = math.floor(math.log10(value))
        return f"{value / 10.0**power:.1f} × 10" + str(power).translate(SUPERSCRIPT)
    return f"{value:,.{digits}f}"
