"""What went wrong on a set, as HTML: a section of the report, and a page of its own with audio."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from omni_asr.analysis import page
from omni_asr.analysis.errors import Errors, Table, read_errors
from omni_asr.analysis.errors_script import SCRIPT, STYLE
from omni_asr.analysis.experiment import DecodedSet
from omni_asr.analysis.page import escape, row
from omni_asr.files import atomic_write
from omni_asr.scoring.align import DELETION, pairs
from omni_asr.scoring.breakdown import frequent_errors, worst_speakers, worst_utterances
from omni_asr.scoring.reports import INTERVAL_COLUMN
from omni_asr.scoring.sclite import Utterance, by_speaker

IN_REPORT, ON_PAGE = 12, 25  # frequent errors, and speakers
WORST_IN_REPORT = 8
MOST_COLUMNS = 500  # of one utterance's alignment
MOST_ROWS = 40  # of one breakdown
EARLIER = 0.15  # seconds; a CTC unit comes late in its sound
KEY = (
    '<p class="note"><span class="key S">S substituted</span> <span class="key D">D deleted</span> '
    '<span class="key I">I inserted</span></p>'
)


def write_errors(
    data_dir: str | os.PathLike[str],
    decode_dir: str | os.PathLike[str],
    out: str | os.PathLike[str],
    most: int = 30,
    with_audio: bool = True,
    suffix: str = "",
) -> Path:
    """Write the page of a scored set with its ``most`` worst utterances to ``out`` and return its path.

    ``suffix`` is that of the regime, one of SUFFIXES.

    Raises:
        UserError: the set is not scored.
    """
    path = Path(out)
    text = render(read_errors(data_dir, decode_dir, most, with_audio, suffix))
    with atomic_write(path) as file:
        file.write(text)
    return path


def render(found: Errors) -> str:
    """The whole page."""
    decoded = found.decoded
    head = (
        f'<p class="kicker">omni_asr page of errors</p><h1>{escape(decoded.name)}</h1>'
        f'<p class="note">recognised by {escape(found.experiment)}; scoring regime '
        f"{escape(' by '.join(decoded.wer.kind) if decoded.wer else 'unknown')}</p>"
        f'<div class="cards">{_cards(found)}</div>{page.missing(found.notes, "on this page")}'
    )
    sections = [
        ("groups", "By group", "".join(_breakdown(table) for table in found.tables)),
        ("words", "Words", _frequent(decoded.utterances, ON_PAGE) if found.worst else ""),
        ("utterances", "Worst utterances", _worst(found)),
    ]
    footer = "Words are aligned as sclite does it."
    return page.document(f"Errors on {decoded.name} - {found.experiment}", head, sections, footer, STYLE, SCRIPT)


def _cards(found: Errors) -> str:
    utterances = found.decoded.utterances
    total = by_speaker(utterances)[1]
    lines = [f"{total.wrong_sentences:,} of {total.sentences:,} have an error"]
    cards = page.rate_card("Words", found.decoded)
    cards += page.card("Utterances", f"{total.percents[-1]:.2f}", "% SER", lines)
    known = re.match(r"%OOV (\S+) \[ (\d+) / (\d+), (\d+) different, (\d+) recognised \]", found.unknown)
    if known:
        count, words, different, right = (f"{int(number):,}" for number in known.groups()[1:])
        lines = [f"{count} of {words} words are not in the training text"]
        lines += [f"{different} different, {right} recognised"] if count != "0" else []
        cards += page.card("Unknown words", known[1], "% OOV", lines)
    return cards


def _breakdown(table: Table) -> str:
    """One breakdown, with the error rate and its interval drawn on one scale."""
    heads, rows = table
    rate, sure = heads.index("Err"), heads.index(INTERVAL_COLUMN)
    drawn = [_numbers(f"{cells[rate]} {cells[sure]}") for cells in rows]
    widest = max((number for numbers in drawn for number in numbers), default=0) or 1
    lines = [
        row([*map(escape, cells), _range(numbers, widest)])
        for cells, numbers in zip(rows[:MOST_ROWS], drawn[:MOST_ROWS], strict=True)
    ]
    heads = [*map(escape, heads), f"Err on a scale from 0 to {widest:.0f} %"]
    title = escape("length in words" if heads[0] == "words" else heads[0])
    more = f'<p class="note">{len(rows) - MOST_ROWS} more rows are left out.</p>' if len(rows) > MOST_ROWS else ""
    stars = '<p class="note">* counts: no reference word</p>' if any("*" in cells[rate] for cells in rows) else ""
    return f"<h3>{title}</h3>{page.table(heads, lines)}{more}{stars}"


def _numbers(text: str) -> list[float]:
    """The finite rate of a row and, where it has one, its interval."""
    found = [float(number) for number in re.findall(r"(?<![\w.])\d+\.\d+(?!\*)", text)]
    return found if len(found) in (1, 3) else found[:1]


def _range(numbers: Sequence[float], widest: float) -> str:
    if not numbers:
        return ""
    at, *ends = (100 * number / widest for number in numbers)
    low, high = ends or (at, at)
    band = f'<i style="left:{low:.1f}%;width:{high - low:.1f}%"></i>'
    return f'<span class="range">{band}<b style="left:{at:.1f}%"></b></span>'


def _worst(found: Errors) -> str:
    """The worst utterances, with what sorts and filters them; the script shows that, since it does nothing alone."""
    utterances = found.decoded.utterances
    wrong = sum(utterance.counts.errors > 0 for utterance in utterances)
    if not found.worst:
        return f'<p class="note">All {len(utterances):,} utterances are right.</p>'
    shown = f"{len(found.worst):,} of {wrong:,} utterances with errors: those with the most."
    listen = " Click a recognised word to play from there." if found.starts.keys() & found.audio.keys() else ""
    controls = (
        '<form class="controls" id="controls" hidden><label>Sort by <select id="order">'
        '<option value="errors">errors</option><option value="rate">error rate</option>'
        '<option value="id">id</option></select></label> <label>Find <input id="find" type="search" '
        'placeholder="words, id or speaker"></label> <output id="shown"></output></form>'
    )
    items = "".join(_item(found, utterance) for utterance in found.worst)
    return f'<p class="note">{shown}{listen}</p>{KEY}{controls}<div id="worst">{items}</div>'


def _item(found: Errors, utterance: Utterance) -> str:
    counts = utterance.counts
    rate = counts.percent if counts.words else 1e9
    text = " ".join([utterance.id, utterance.speaker, *utterance.reference, "|", *utterance.hypothesis])
    source, why = found.audio.get(utterance.id), found.silent.get(utterance.id)
    name = escape(utterance.id)
    player = f'<p class="note">No audio: {escape(why)}</p>' if why else ""
    if source:
        player = f'<audio controls preload="metadata" aria-label="Audio of {name}" src="{source}"></audio>'
    starts = found.starts.get(utterance.id) if source else None
    return (
        f'<article data-errors="{counts.errors}" data-rate="{rate:.2f}" data-id="{name}" '
        f'data-text="{escape(text.lower())}">'
        f"{aligned(utterance, found.decoded.scores.get(utterance.id), starts)}{player}</article>"
    )


def error_section(decoded: DecodedSet) -> str:
    """Worst utterances, frequent errors and hardest speakers of one set, as a part of the report."""
    utterances = decoded.utterances
    if not utterances:
        return ""
    right = sum(not utterance.counts.errors for utterance in utterances)
    line = f"{len(utterances):,} utterances, {right:,} of them without an error."
    if decoded.page:
        line += f' <a href="../{escape(quote(decoded.page))}">More of them, with audio</a>'
    parts = [f'<h3 id="errors-{escape(decoded.name)}">{escape(decoded.name)}</h3><p class="note">{line}</p>']
    if right < len(utterances):
        parts.append(_frequent(utterances, IN_REPORT))
        worst = worst_utterances(utterances, WORST_IN_REPORT)
        parts.append(f"<h4>The {len(worst)} utterances with the most errors</h4>" if len(worst) > 1 else "")
        parts += [aligned(utterance, decoded.scores.get(utterance.id)) for utterance in worst]
    return "".join(parts)


def _frequent(utterances: Sequence[Utterance], most: int) -> str:
    """The most frequent errors, and the hardest speakers where there are several."""
    found = frequent_errors(utterances, most)
    confusions = [row([escape(r), "→ " + escape(h), count], 2) for (r, h), count in found.confusions]
    columns = [("Confusions (reference → recognised)", confusions)]
    for title, entries in (("Deleted", found.deletions), ("Inserted", found.insertions)):
        columns.append((title, [row([escape(word), count]) for word, count in entries]))
    blocks = [_words(title, rows or ["<tr><td>none</td></tr>"]) for title, rows in columns]
    speakers = worst_speakers(utterances, most)
    if len(speakers) > 1:
        rows = [row([escape(s.name), f"{s.counts.percent:.1f} %", f"{s.counts.words} words"]) for s in speakers]
        blocks.append(_words("Hardest speakers, WER", rows))
    return f'<div class="row">{"".join(blocks)}</div>'


def _words(title: str, rows: Sequence[str]) -> str:
    return f'<div class="scroll"><h4>{title}</h4><table class="words">{"".join(rows)}</table></div>'


def aligned(utterance: Utterance, score: float | None, starts: Sequence[float] | None = None) -> str:
    """One utterance: reference over hypothesis in columns, errors coloured and marked.

    With ``starts``, the times in seconds of the recognised words, these can be clicked.
    """
    counts = utterance.counts
    details = [f"{counts.errors} errors in {counts.words} words"]
    details += [f"{counts.percent:.1f} %"] if counts.words else []
    details += [escape(utterance.speaker)] if utterance.speaker else []
    details += [f"log probability per frame {score:.3f}"] if score is not None else []
    columns = ['<span class="names"><span>ref</span><span>hyp</span><span class="mark"> </span></span>']
    times = iter(starts or ())
    steps = list(pairs(utterance.reference, utterance.hypothesis, utterance.operations))
    for letter, reference, hypothesis in steps[:MOST_COLUMNS]:
        width = max(len(reference or ""), len(hypothesis or ""))
        upper, lower = (("·" * width) if word is None else escape(word) for word in (reference, hypothesis))
        below = f"<span>{lower}</span>"
        if starts and letter != DELETION:
            start = max(0.0, next(times) - EARLIER)
            below = f'<button type="button" data-from="{start:.2f}">{lower}</button>'
        kind, mark = (f' class="{letter}"', letter) if letter != "C" else ("", " ")
        columns.append(f"<span{kind}><span>{upper}</span>{below}<span class=mark>{mark}</span></span>")
    left = len(steps) - MOST_COLUMNS
    more = f'<p class="note">{left:,} more columns are left out.</p>' if left > 0 else ""
    return (
        f'<div class="utterance"><div class="head"><b>{escape(utterance.id)}</b> &nbsp; {", ".join(details)}</div>'
        f'<div class="aligned">{"".join(columns)}</div>{more}</div>'
    )
