"""Text that the output units cannot spell: how much of it there is, where, and the likely cause.

The share that counts is that of **words with an unknown unit**. That of units would depend on their kind: characters
give one ``<unk>`` for each foreign letter, sentencepiece one for a whole run of them.
"""

import logging
import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from omni_asr.errors import UserError
from omni_asr.files import atomic_write
from omni_asr.text.plain import lost_in_plain, plain_words
from omni_asr.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)

MOST_SHOWN = 10
"""Characters that a message names."""
MOST_EXPLAINED = 20_000
"""Different words, the most frequent ones, whose cause is looked for."""


@dataclass
class Unknown:
    """Counts of a set's text."""

    words: int = 0
    units: int = 0
    unknown_units: int = 0
    utterances: int = 0
    """Utterances with an unknown unit."""
    unknown_words: Counter[str] = field(default_factory=Counter)

    @property
    def share(self) -> float:
        """Share of the words that have an unknown unit."""
        return self.unknown_words.total() / max(1, self.words)


def count_unknown(
    texts: Iterable[tuple[str, Iterable[str]]],
    tokenizer: Tokenizer,
    listing: Path | None = None,
    forms: Callable[[str], Iterable[str]] = lambda word: (word,),
) -> Unknown:
    """Count what the units cannot spell and list the utterances that have some, with the unknown pieces.

    Args:
        texts: ids of utterances and their words.
        tokenizer: the units.
        listing: file to write, ``<utterance> <piece> ...``; removed where there is nothing to list.
        forms: forms of a word of which one must be spelled, such as upper and lower case where both mean the same.
    """
    counts, pieces_of, units_of = Unknown(), dict[str, list[str]](), dict[str, int]()
    with atomic_write(listing) if listing is not None else nullcontext() as file:
        for utterance, words in texts:
            unknown: list[str] = []
            for word in words:
                if word not in pieces_of:
                    best = min(forms(word), key=lambda form: len(tokenizer.unknown(form)))
                    pieces_of[word], units_of[word] = tokenizer.unknown(best), len(tokenizer.encode(best))
                counts.words += 1
                counts.units += units_of[word]
                if pieces_of[word]:
                    counts.unknown_words[word] += 1
                    unknown += pieces_of[word]
            counts.unknown_units += len(unknown)
            counts.utterances += bool(unknown)
            if unknown and file is not None:
                file.write(f"{utterance} {' '.join(unknown)}\n")
    if listing is not None and not counts.utterances:
        listing.unlink()
    return counts


def refuse_unknown(
    counts: Unknown, tokenizer: Tokenizer, where: str, listing: Path | None, most: float, option: str
) -> None:
    """Log what the units cannot spell.

    Args:
        counts: of the text ``where``.
        tokenizer: the units.
        where: name of the text.
        listing: where the utterances are listed.
        most: share of the words that may have an unknown unit.
        option: field of the configuration that sets ``most``.

    Raises:
        UserError: there is more of it than ``most``.
    """
    if not counts.utterances:
        log.info("%s: the units spell every word", where)
        return
    number = counts.unknown_words.total()
    message = (
        f"{where}: {number} of {counts.words} words ({100 * counts.share:.3g} %) have units that are unknown "
        f"({counts.unknown_units} of {counts.units}), in {counts.utterances} utterances; "
        f"likely cause: {likely_cause(counts.unknown_words, tokenizer)}"
    )
    if counts.share > most:
        share = math.ceil(1000 * counts.share) / 1000
        listed = f"; listed in {listing}" if listing is not None else ""
        advice = f"mend the text, or allow it with --max_unknown {share:g} of the recipe ({option})"
        raise UserError(f"{message}{listed}; {advice}")
    log.warning("%s%s", message, f"; listed in {listing.name}" if listing is not None else "")


def likely_cause(words: Counter[str], tokenizer: Tokenizer) -> str:
    """Explain unknown words (with counts): by case, normalisation, script, or the characters that are missing."""
    words = Counter(dict(words.most_common(MOST_EXPLAINED)))
    changes: dict[str, Callable[[str], str]] = {
        "case, lower-casing": str.lower,
        "case, upper-casing": str.upper,
        "normalisation, Unicode's NFC": lambda word: unicodedata.normalize("NFC", word),
        "normalisation, Unicode's NFKC": lambda word: unicodedata.normalize("NFKC", word),
        "normalisation, plain words (a-z and ', omni_asr.text.plain)": _plain,
        "normalisation, plain words in capitals": lambda word: _plain(word).upper(),
    }
    spelled = {name: _spelled(words, change, tokenizer) for name, change in changes.items()}
    best = max(spelled, key=lambda name: spelled[name])
    if 2 * spelled[best] >= words.total():
        return f"{best} would spell {100 * spelled[best] / words.total():.0f} % of them"
    known = _scripts("".join(tokenizer.units))
    foreign = {word: count for word, count in words.items() if _scripts(word) - known}
    if 2 * sum(foreign.values()) >= words.total():
        scripts = ", ".join(sorted(_scripts("".join(foreign)) - known))
        return f"script, they have letters of {scripts}, the units of {', '.join(sorted(known))}"
    missing: Counter[str] = Counter()
    for word, count in words.items():
        for piece in tokenizer.unknown(word):
            missing.update(dict.fromkeys(piece, count))
    shown = " ".join(sign for sign, _ in missing.most_common(MOST_SHOWN))
    return f"normalisation, the units lack {shown}"


def _plain(word: str) -> str:
    """A word in plain words; nothing where some of it would be lost."""
    return "" if lost_in_plain(word) else plain_words(word)


def _spelled(words: Counter[str], change: Callable[[str], str], tokenizer: Tokenizer) -> int:
    """How many of the words the units spell after a change."""
    number = 0
    for word, count in words.items():
        changed = change(word)
        if changed and not tokenizer.unknown(changed):
            number += count
    return number


def _scripts(text: str) -> set[str]:
    """Scripts of the letters of a text, such as LATIN, by the names of Unicode."""
    return {unicodedata.name(sign, "UNNAMED").split()[0] for sign in set(text) if sign.isalpha()}
