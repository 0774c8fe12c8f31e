"""Finding the files of a corpus, whatever their case, the discs they came on and the folders around them."""

import fnmatch
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from omni_asr.errors import UserError

DEPTH = 3
"""Folders between what the user names and where a path of the corpus begins, such as ``LDC93S6B/11-13.1/wsj0``."""

WILDCARDS = "*?["


class CorpusTree:
    """The folders that together hold a corpus, such as discs or packages of a publisher.

    Paths are given as they are in the corpus, with ``/`` and perhaps the wildcards of :mod:`fnmatch` in their parts.
    Case never matters. Folders are read once, and threads may share a tree. What is hidden (``.name``) is only found
    where it is named so: an archive may be half unpacked there, and other systems leave ``._1.flac``.

    Raises:
        UserError: one of the folders does not exist.
    """

    def __init__(self, roots: Sequence[str | os.PathLike[str]]) -> None:
        self.roots = [Path(root).absolute() for root in roots]
        for root in self.roots:
            if not root.is_dir():
                raise UserError(f"{root} is not a directory; name the folder of the corpus with --corpus_dir")
        self._listings: dict[Path, dict[str, list[str]]] = {}
        self._children: dict[Path, list[Path]] = {}

    @classmethod
    def of_packages(cls, roots: Sequence[Path], packages: str) -> "CorpusTree":
        """The tree of a corpus that is ordered, before anything of it is looked for; without roots it is empty.

        Raises:
            UserError: one of the folders does not exist; names what should be in them.
        """
        for root in roots:
            if not root.is_dir():
                raise UserError(
                    f"there is no folder {root}; --corpus_dir names where the packages are: {packages} "
                    "of https://catalog.ldc.upenn.edu"
                )
        return cls(roots)

    @classmethod
    def of_those_there(cls, roots: Iterable[Path]) -> "CorpusTree":
        """The tree of the folders that exist: before a corpus is fetched, perhaps none."""
        return cls([root for root in roots if root.is_dir()])

    def find_all(self, path: str, depth: int = DEPTH) -> Iterator[Path]:
        """Everything that a path fits, below each root and below its folders down to ``depth``; nearest first.

        A root may itself be the first part of the path: ``LDC/wsj0`` for ``wsj0/doc``.
        """
        parts = path.lower().split("/")
        seen = set()
        for root in self.roots:
            for found in self._near(root, parts, depth):
                if found not in seen:
                    seen.add(found)
                    yield found

    def _near(self, root: Path, parts: Sequence[str], depth: int) -> Iterator[Path]:
        if len(parts) > 1 and fnmatch.fnmatchcase(root.name.lower(), parts[0]):
            yield from self._below(root, parts[1:])
        level = [root]
        for left in reversed(range(depth + 1)):
            for folder in level:
                yield from self._below(folder, parts)
            level = [child for folder in level for child in self._folders(folder)] if left else []

    def find(self, *paths: str, depth: int = DEPTH) -> Path | None:
        """What the first of some paths that is there leads to; None where none is."""
        return next((found for path in paths for found in self.find_all(path, depth)), None)

    def need(self, *paths: str, depth: int = DEPTH) -> Path:
        """Like :meth:`find`.

        Raises:
            UserError: nothing is there; names what was looked for and where.
        """
        found = self.find(*paths, depth=depth)
        if found is None:
            where = ", ".join(map(str, self.roots))
            plain = [path for path in paths if not any(letter in path for letter in WILDCARDS)] or paths
            raise UserError(f"{' or '.join(plain)} is not in {where}; is --corpus_dir the folder of this corpus?")
        return found

    def inside(self, folder: Path, path: str) -> Path | None:
        """The first thing that a path fits, directly below a folder of this tree."""
        return next(self._below(folder, path.lower().split("/")), None)

    def files(self, folder: Path, pattern: str) -> list[Path]:
        """Files directly in a folder whose names fit, sorted by name."""
        return sorted(found for found in self._below(folder, [pattern.lower()]) if found.is_file())

    def search(self, pattern: str) -> Iterator[Path]:
        """Every file at any depth whose name fits, in the order of the paths below each root; links are followed."""
        seen: set[str] = set()
        for root in self.roots:
            for folder, folders, names in os.walk(root, followlinks=True):
                real = os.path.realpath(folder)
                if real in seen:  # a link that leads back, or a root within another
                    folders.clear()
                    continue
                seen.add(real)
                folders.sort()
                for name in sorted(names):
                    if fnmatch.fnmatchcase(name.lower(), pattern.lower()):
                        yield Path(folder, name)

    def _below(self, folder: Path, parts: Sequence[str]) -> Iterator[Path]:
        """What parts of a path in lower case lead to from a folder, in the order of the names."""
        if not parts:
            if folder.exists():  # a link may lead nowhere
                yield folder
            return
        listing = self._listing(folder)
        if any(letter in parts[0] for letter in WILDCARDS):
            names = [name for lower in fnmatch.filter(listing, parts[0]) for name in listing[lower]]
            names = [name for name in names if not name.startswith(".") or parts[0].startswith(".")]
        else:
            names = listing.get(parts[0], [])
        for name in sorted(names):
            yield from self._below(folder / name, parts[1:])

    def _listing(self, folder: Path) -> dict[str, list[str]]:
        """Names in a folder by their lower case; nothing for what is no folder or may not be read."""
        if folder not in self._listings:
            listing: dict[str, list[str]] = {}
            try:
                for name in os.listdir(folder):
                    listing.setdefault(name.lower(), []).append(name)
            except OSError:
                pass
            self._listings[folder] = listing  # only when complete: another thread may ask meanwhile
        return self._listings[folder]

    def _folders(self, folder: Path) -> list[Path]:
        """Folders in a folder; none in what is no folder or may not be read."""
        if folder not in self._children:
            children: list[Path] = []
            try:
                with os.scandir(folder) as entries:
                    children = sorted(Path(entry.path) for entry in entries if entry.is_dir() and entry.name[0] != ".")
            except OSError:
                pass
            self._children[folder] = children  # only when complete: another thread may ask meanwhile
        return self._children[folder]
