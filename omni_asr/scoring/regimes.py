"""How words are compared. Figures of different regimes, or protocols of one regime, never stand in one column.

A regime is how words are normalised before. A protocol is what else decides about counts, as the options of ``omni-asr
score``: ``words`` by the ids of utterances, ``words, join-hyphens``, ``stm, glm 3f2a91bc, hyp-filter hub5``.
"""

REGIMES = {
    "verbatim": "words as they are written",
    "glm": "both sides rewritten by a glm, as hubscr.pl does",
    "whisper": "both sides through Whisper's English normaliser",
}
SUFFIXES = {"verbatim": "", "glm": "", "whisper": "_whisper"}
"""What names of results end in: a corpus has one regime of its own, and Whisper's never replaces its figures."""

PLAIN = "words"
"""The protocol of utterances by their ids and of nothing more."""


def regime_line(regime: str) -> str:
    """The line that names the regime in every file of results."""
    return f"Scoring regime: {regime}\n"


def protocol_line(protocol: str) -> str:
    """The line that names the protocol in ``wer`` and ``cer``."""
    return f"Protocol: {protocol}\n"


def unusual(regime: str, protocol: str) -> str:
    """What of both a title must name, such as ``glm by stm``: nothing where words are compared as they are."""
    parts = [regime] if regime != "verbatim" else []
    return " ".join([*parts, f"by {protocol}"] if protocol != PLAIN else parts)
