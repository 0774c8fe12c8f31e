"""Why a preparation leaves utterances out."""

import re
from collections import Counter
from collections.abc import Iterator

_PARTICULAR = re.compile(r"\S*\d\S*|/\S+|'[^']*'|\"[^\"]*\"")


class Reasons:
    """Reasons, counted by kind: those that differ in numbers, paths or quotations are of one."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        """By kind."""
        self._first: dict[str, str] = {}
        self._differ: set[str] = set()

    def add(self, reason: str) -> None:
        """Count a reason."""
        kind = _PARTICULAR.sub("...", reason)
        self.counts[kind] += 1
        if self._first.setdefault(kind, reason) != reason:
            self._differ.add(kind)

    def lines(self) -> Iterator[str]:
        """How many there are of each kind, most first, and the first of them in full."""
        for kind, count in sorted(self.counts.items(), key=lambda item: (-item[1], item[0])):
            yield f"{count}, {'the first ' if kind in self._differ else ''}{self._first[kind]}"

    def most_often(self) -> str:
        """The first reason of the largest kind."""
        return self._first[self.counts.most_common(1)[0][0]]
