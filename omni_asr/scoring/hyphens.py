"""Words that a reference joins by hyphens, and that a recogniser may write apart.

Published protocols of WSJ and CHiME-6 count ``half-built`` as one word, while models that are trained on several
corpora write no hyphens. So a hypothesis is joined where it says, at that place, what the reference joins.
"""

import itertools
from collections.abc import Iterator, Sequence

from omni_asr.scoring.align import CORRECT, Counts, align_all, fold_case, pairs
from omni_asr.scoring.network import Network, Word, align_networks

MOST_PARTS = 5  # of a word that may be apart in every way, 15 of them; longer ones only wholly


def join_hyphens(reference: Sequence[str], hypothesis: Sequence[str]) -> list[str]:
    """The hypothesis with words joined as the reference joins them, where they stand for the same word.

    Both are aligned once, each word with hyphens as an alternation: as it is written, or apart. Where the words of a
    way of being apart are all right, and nothing is inserted between them, they become the reference's word. The
    hypothesis stays as it is where that would add errors: sclite's costs are no counts; a cheaper alignment may have
    more errors.
    """
    if not any(map(_is_hyphenated, reference)):
        return list(hypothesis)
    alternatives, heard = Network(), Network()
    for place, word in enumerate(reference):
        alternatives.add_branches([_branch(way, place) for way in ([word], *_ways_apart(word))])
    for place, word in enumerate(hypothesis):
        heard.add(_word(word, str(place)))
    found = align_networks(alternatives, heard)
    right: dict[str, list[int]] = {}
    for letter, branch, name in pairs(found.reference, found.hypothesis, found.operations):
        if letter == CORRECT:
            right.setdefault(str(branch), []).append(int(str(name)))
    joined: list[str | None] = list(hypothesis)
    for branch, places in right.items():
        number, size = map(int, branch.split())
        if size > 1 and places == list(range(places[0], places[0] + size)):
            joined[places[0] : places[0] + size] = [reference[number], *[None] * (size - 1)]
    words = [word for word in joined if word is not None]
    before, after = (Counts.of(letters).errors for letters in align_all([reference] * 2, [hypothesis, words]))
    return words if after <= before else list(hypothesis)


def _is_hyphenated(word: str) -> bool:
    return "-" in word.strip("-")


def _ways_apart(word: str) -> Iterator[list[str]]:
    """The word as several words: ``a-b-c`` as ``a-b c``, ``a b-c`` and ``a b c``."""
    if not _is_hyphenated(word):
        return
    parts = [part for part in word.split("-") if part]
    if len(parts) > MOST_PARTS:
        yield parts
        return
    for joints in itertools.product("- ", repeat=len(parts) - 1):
        if " " in joints:
            yield "".join(itertools.chain(*zip(parts, [*joints, ""], strict=True))).split(" ")


def _branch(words: Sequence[str], place: int) -> Network:
    """Words that stand for the reference's word at a place, by which and by their number they are named."""
    network = Network()
    for word in words:
        network.add(_word(word, f"{place} {len(words)}"))
    return network


def _word(word: str, name: str) -> Word:
    """A word that means nothing but itself, known by a name: what is written might be markup, such as ``@``."""
    return Word(name, fold_case(word), optional=False, fragment=False)
