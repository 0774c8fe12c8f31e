"""What a corpus's protocol does to recognised words before it compares them; references stay as they are.

``hub5``: what Kaldi and ESPnet take out of hypotheses before they call hubscr.pl. It costs nothing where the reference
may do without (hesitations and fragments are optional there), and such words are never right, only inserted.

* Events go: ``[noise]``, ``[laughter]``, ``[vocalized-noise]``, ``<unk>``. So do hesitations (``uh``, ``um``, ...) and
  fragments, which end in ``-``.
* Acronyms become letters that share their time: ``b._b._c.'s`` is ``b b c's``.
* Backchannels are one word to a global map, but two to a model whose texts have no hyphens: ``uh huh``, spoken at once,
  is ``uh-huh`` again. Without this both halves would count as hesitations, and all backchannels as deleted. (``uh uh``
  stays, since it is nearly always a hesitation said twice.)
"""

import logging
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from omni_asr.kaldi.ctm import Alternation, Token

log = logging.getLogger("score")

Heard = Token | Alternation

EVENTS = frozenset(["[noise]", "[laughter]", "[vocalized-noise]", "<unk>"])
HESITATIONS = frozenset("uh um eh mm hm ah huh ha er oof hee ach eee ew".split())
BACKCHANNELS = frozenset(
    [("uh", "huh"), ("um", "hum"), ("uh", "hum"), ("um", "hmm"), ("mm", "hmm"), ("mm", "hm"), ("huh", "uh")]
)
AT_ONCE = 0.5
"""Seconds of silence at most between the halves of a backchannel."""
_ACRONYM = re.compile(r"((?:[a-z]\._)*[a-z])\.('s|s)?", re.IGNORECASE)


def hub5(tokens: Iterable[Heard]) -> list[Heard]:
    """Recognised words in the order of their times, as Hub5 evaluations score them; alternations stay as they are."""
    kept: list[Heard] = []
    dropped = 0
    for token in joined_backchannels(tokens):
        if isinstance(token, Alternation):
            kept.append(token)
        elif token.word.lower() in EVENTS | HESITATIONS or token.word.endswith("-"):
            dropped += 1
        else:
            kept += _letters(token)
    log.info("hub5: %d recognised events, hesitations and fragments are left out", dropped)
    return kept


HYPOTHESIS_FILTERS: dict[str, Callable[[Iterable[Heard]], list[Heard]]] = {"hub5": hub5}
"""By name, as ``omni-asr score --hyp-filter`` takes them."""


def joined_backchannels(tokens: Iterable[Heard]) -> Iterator[Heard]:
    """Words in the order of their times, of which two that are said at once and make a backchannel are one."""
    first: Heard | None = None
    for token in tokens:
        if first is not None and _is_backchannel(first, token):
            assert isinstance(first, Token) and isinstance(token, Token)
            end = round(token.begin + token.duration - first.begin, 3)
            yield replace(first, word=f"{first.word}-{token.word}", duration=end)
            first = None
            continue
        if first is not None:
            yield first
        first = token
    if first is not None:
        yield first


def _is_backchannel(first: Heard, second: Heard) -> bool:
    if isinstance(first, Alternation) or isinstance(second, Alternation):
        return False
    return (
        (first.word.lower(), second.word.lower()) in BACKCHANNELS
        and (first.file, first.channel) == (second.file, second.channel)
        and second.begin - (first.begin + first.duration) <= AT_ONCE
    )


def _letters(token: Token) -> list[Token]:
    """The letters of an acronym, each with its share of the time; any other word as it is."""
    match = _ACRONYM.fullmatch(token.word)
    if not match:
        return [token]
    letters = match[1].split("._")
    letters[-1] += "'s" if match[2] else ""
    share = token.duration / len(letters)
    return [
        replace(token, word=letter, begin=round(token.begin + share * index, 3), duration=round(share, 3))
        for index, letter in enumerate(letters)
    ]
