"""What went wrong on a set, as HTML: frequent errors, groups of utterances, and the worst ones, which can be heard."""

from collections.abc import Sequence

from omni_asr.analysis.experiment import DecodedSet
from omni_asr.analysis.page import escape, row
from omni_asr.scoring.align import pairs
from omni_asr.scoring.breakdown import frequent_errors, worst_speakers, worst_utterances
from omni_asr.scoring.sclite import Utterance

WORST, FREQUENT, SPEAKERS = 8, 12, 12


def error_section(decoded: DecodedSet) -> str:
    """Worst utterances, frequent errors and hardest speakers of one set."""
    utterances = decoded.utterances
    if not utterances:
        return ""
    right = sum(not utterance.counts.errors for utterance in utterances)
    line = f"{len(utterances):,} utterances, {right:,} of them without an error."
    parts = [f'<h3 id="errors-{escape(decoded.name)}">{escape(decoded.name)}</h3><p class="note">{line}</p>']
    if right < len(utterances):
        parts.append(_frequent(utterances))
        worst = worst_utterances(utterances, WORST)
        parts.append(f"<h4>The {len(worst)} utterances with the most errors</h4>" if len(worst) > 1 else "")
        parts += [aligned(utterance, decoded.scores.get(utterance.id)) for utterance in worst]
    return "".join(parts)


def _frequent(utterances: Sequence[Utterance]) -> str:
    found = frequent_errors(utterances, FREQUENT)
    confusions = [row([escape(r), "→ " + escape(h), count], 2) for (r, h), count in found.confusions]
    columns = [("Confusions (reference → recognised)", confusions)]
    for title, entries in (("Deleted", found.deletions), ("Inserted", found.insertions)):
        columns.append((title, [row([escape(word), count]) for word, count in entries]))
    blocks = [
        f'<div><h4>{title}</h4><table class="words">{"".join(rows) or "<tr><td>none</td></tr>"}</table></div>'
        for title, rows in columns
    ]
    speakers = worst_speakers(utterances, SPEAKERS)
    if len(speakers) > 1:
        rows = [row([escape(s.name), f"{s.counts.percent:.1f} %", f"{s.counts.words} words"]) for s in speakers]
        blocks.append(f'<div><h4>Hardest speakers, WER</h4><table class="words">{"".join(rows)}</table></div>')
    return f'<div class="row">{"".join(blocks)}</div>'


def aligned(utterance: Utterance, score: float | None) -> str:
    """One utterance: reference over hypothesis in columns, errors coloured and marked."""
    counts = utterance.counts
    details = [f"{counts.errors} errors in {counts.words} words"]
    details += [escape(utterance.speaker)] if utterance.speaker else []
    details += [f"log probability per frame {score:.3f}"] if score is not None else []
    columns = ['<span class="names"><span>ref</span><span>hyp</span><span class="mark"> </span></span>']
    for letter, reference, hypothesis in pairs(utterance.reference, utterance.hypothesis, utterance.operations):
        width = max(len(reference or ""), len(hypothesis or ""))
        cells = (("·" * width) if word is None else escape(word) for word in (reference, hypothesis))
        kind = f' class="{letter}"' if letter != "C" else ""
        mark = letter if letter != "C" else " "
        columns.append(
            f"<span{kind}>{''.join(f'<span>{cell}</span>' for cell in cells)}<span class=mark>{mark}</span></span>"
        )
    return (
        f'<div class="utterance"><div class="head"><b>{escape(utterance.id)}</b> &nbsp; {", ".join(details)}</div>'
        f'<div class="aligned">{"".join(columns)}</div></div>'
    )
