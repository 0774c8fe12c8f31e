"""How words are normalised before they are compared. Figures of different regimes never stand in one column."""

REGIMES = {
    "verbatim": "words as they are written",
    "glm": "both sides rewritten by a glm, as hubscr.pl does",
    "whisper": "both sides through Whisper's English normaliser",
}
SUFFIXES = {"verbatim": "", "glm": "", "whisper": "_whisper"}
"""What names of results end in: a corpus has one regime of its own, and Whisper's never replaces its figures."""


def regime_line(regime: str) -> str:
    """The line that names the regime in every file of results."""
    return f"Scoring regime: {regime}\n"
