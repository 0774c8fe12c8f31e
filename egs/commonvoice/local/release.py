"""Where a copy of Common Voice has its English clips, and which release it is."""

import re
from dataclasses import dataclass
from pathlib import Path

from omni_asr.corpora.tree import CorpusTree
from omni_asr.errors import UserError

PLACES = ("clips", "en/clips", "cv-corpus-*/en/clips", "*/cv-corpus-*/en/clips")
"""Of the clips below --corpus-dir; their folder is never listed, for it has millions of files."""
ARCHIVES = ("cv-corpus-*-en.tar.gz", "cv-corpus-*-en.tar", "*mcv-scripted-en-*.tar.gz")
"""Names of what is downloaded; the last one since release 23.0."""
NAME = re.compile(r"cv-corpus-(\d+(?:\.\d+)*)-(?:\d{4}-\d{2}-\d{2})", re.IGNORECASE)


@dataclass(frozen=True)
class Release:
    """A release: ``folder`` has the TSV files and ``clips/``; ``version`` is such as 17.0, None for an unknown name."""

    folder: Path
    version: str | None

    @property
    def clips(self) -> Path:
        """Folder of the MP3 files."""
        return self.folder / "clips"


def find_releases(tree: CorpusTree) -> list[Release]:
    """Releases in the folders of the user, who may name one, its folder ``en``, or what holds releases."""
    folders = dict.fromkeys(
        clips.parent for place in PLACES for clips in tree.find_all(place, depth=0) if clips.is_dir()
    )
    return [Release(folder, _version(folder)) for folder in folders]


def need_release(tree: CorpusTree) -> Release:
    """The one release in the folders of the user.

    Raises:
        UserError: there is none, or there are several.
    """
    releases = find_releases(tree)
    where = ", ".join(map(str, tree.roots))
    if len(releases) > 1:
        found = ", ".join(str(release.folder) for release in releases)
        raise UserError(f"{where} has several releases of Common Voice ({found}); name one with --corpus_dir")
    if not releases:
        hint = "unpack its .tar.gz, which stage 0 does, " if find_archives(tree) else ""
        raise UserError(f"{where} has no en/clips of Common Voice; {hint}or name cv-corpus-<release>-<date>")
    return releases[0]


def find_archives(tree: CorpusTree) -> list[Path]:
    """Archives of English releases that are directly in the folders of the user."""
    return [path for root in tree.roots for name in ARCHIVES for path in tree.files(root, name)]


def _version(folder: Path) -> str | None:
    """From the name of the folder, or of the one that it is a link to."""
    for path in (folder, folder.resolve()):
        found = NAME.fullmatch(path.parent.name.removesuffix("-en").removesuffix("-licensed"))
        if found:
            return found[1]
    return None
