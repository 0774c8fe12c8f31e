"""Spellings that must be the same in references, hypotheses and the global map before AMI is scored.

Kaldi's references have ``X. M. L.``, as its dictionary and its map do, and recognisers of this toolkit say ``x m l``:
so letters lose their point everywhere. Backchannels are one word to the map, which would take their halves for
hesitations.
"""

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from omni_asr.kaldi.glm import Rule, read_glm, read_rule, written_rule
from omni_asr.kaldi.tables import read_lines

KALDIS = frozenset([("mm", "hmm"), ("uh", "huh")])
"""Backchannels that Kaldi's texts have as one word."""
_LETTER = re.compile(r"(?<![^\s{/(])([A-Za-z])\.(?=(?:'?s)?(?:[\s})/]|$))", re.IGNORECASE)


def joined(words: str, pairs: Collection[tuple[str, str]]) -> str:
    """Words with a hyphen between those that make a pair, in either case: ``uh huh`` is ``uh-huh``."""
    either = "|".join(" ".join(map(re.escape, pair)) for pair in sorted(pairs))
    return re.sub(rf"(?<!\S)({either})(?!\S)", lambda match: match[0].replace(" ", "-"), words, flags=re.IGNORECASE)


def unpointed(words: str) -> str:
    """Words whose letters have no point: ``the C. D.'s`` is ``the C D's``."""
    return _LETTER.sub(r"\1", words)


def unpointed_map(path: Path) -> Iterator[str]:
    """Lines of a global map, whose rules now know letters without a point.

    Raises:
        UserError: as :func:`read_glm`.
    """
    for kinds in (("stm", "ref"), ("ctm", "hyp")):
        read_glm(path, kinds)
    lines = read_lines(path, "latin-1")
    comment = lines[0].split(maxsplit=1)[0]
    for number, line in enumerate(lines, 1):
        text = line.partition(comment)[0].strip()
        if not text or text.startswith("*"):
            yield line
            continue
        rule = read_rule(text, f"{path}:{number}")
        mended = unpointed_rule(rule)
        yield line if mended == rule else written_rule(mended)


def unpointed_rule(rule: Rule) -> Rule:
    """A rule for letters without a point; a blank takes its place where it kept the rule from parts of words."""
    left, source, right = rule.left, rule.source, rule.right
    starts, ends = _LETTER.match((left or source).lstrip()), _LETTER.search(_last(right or source))
    left, source, right = map(unpointed, (left, source, right))
    if starts and not left.startswith(" "):
        left = f" {left}"
    if ends and not right.endswith(" "):
        right = f"{right} "
    return Rule(source, unpointed(rule.target), left, right)


def _last(words: str) -> str:
    return words.split()[-1] if words.split() else ""
