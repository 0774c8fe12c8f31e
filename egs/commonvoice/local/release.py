"""Where a copy of Common Voice has its English clips, and which release it is."""

import re
import tarfile
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from omni_asr.corpora.tree import CorpusTree
from omni_asr.errors import UserError

PLACES = ("clips", "en/clips", "cv-corpus-*/en/clips", "*/cv-corpus-*/en/clips")
"""Of the clips below --corpus-dir; their folder is never listed, for it has millions of files."""
ARCHIVES = ("cv-corpus-*-en.tar.gz", "cv-corpus-*-en.tar", "*mcv-scripted-en-*.tar.gz", "en.tar.gz")
"""Names of what is downloaded; the third since release 23.0, the last up to 5.1."""
NAME = re.compile(r"cv-corpus-(\d+(?:\.\d+)*)-(?:\d{4}-\d{2}-\d{2})", re.IGNORECASE)
DELTA = "-delta-"
"""In the names of what came since the release before: neither its sets nor its counts are those of the release."""


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
    """Releases in the folders of the user, who may name one, its folder ``en``, or what holds releases.

    Raises:
        UserError: there is nothing but the difference between two releases.
    """
    folders = dict.fromkeys(
        clips.parent for place in PLACES for clips in tree.find_all(place, depth=0) if clips.is_dir()
    )
    whole = [folder for folder in folders if not _is_delta(folder)]
    if folders and not whole:
        raise UserError(f"{next(iter(folders))} is a delta, what came since the release before; take the whole release")
    return [Release(folder, _version(folder)) for folder in whole]


def need_release(tree: CorpusTree, version: str | None = None) -> Release:
    """The one release in the folders of the user, or of several the one with a number.

    A folder whose name does not tell its release is taken for that ``version``.

    Raises:
        UserError: there is none, it is another one, or there are several.
    """
    releases = find_releases(tree)
    where = ", ".join(map(str, tree.roots))
    if not releases:
        hint = "unpack its .tar.gz, which stage 0 does, or " if find_archives(tree) else ""
        raise UserError(f"{where} has no en/clips of Common Voice; {hint}name cv-corpus-<release>-<date>")
    found = ", ".join(str(release.folder) for release in releases)
    if version is not None:
        exact = [release for release in releases if release.version == version]
        releases = exact or [replace(release, version=version) for release in releases if release.version is None]
    if not releases:
        raise UserError(f"{found} is not release {version} of Common Voice; name that with --corpus_dir")
    if len(releases) > 1:
        raise UserError(f"{where} has several releases of Common Voice ({found}); name one with --corpus_dir")
    return releases[0]


def find_archives(tree: CorpusTree) -> list[Path]:
    """Archives of English releases that are directly in the folders of the user."""
    found = [path for root in tree.roots for name in ARCHIVES for path in tree.files(root, name)]
    return [path for path in found if DELTA not in path.name.lower() and (path.name != "en.tar.gz" or _has_clips(path))]


def _has_clips(archive: Path) -> bool:
    """Whether an archive, whose name is not particular, begins as one of Common Voice."""
    try:
        with tarfile.open(archive) as tar:
            first = [Path(member.name) for member in islice(tar, 100)]
    except (tarfile.TarError, OSError, EOFError):
        return False
    return any("clips" in path.parts or path.name in ("test.tsv", "validated.tsv") for path in first)


def _is_delta(folder: Path) -> bool:
    return any(DELTA in path.parent.name.lower() for path in (folder, folder.resolve()))


def _version(folder: Path) -> str | None:
    """From the name of the folder, or of the one that it is a link to."""
    for path in (folder, folder.resolve()):
        found = NAME.fullmatch(path.parent.name.removesuffix("-en").removesuffix("-licensed"))
        if found:
            return found[1]
    return None
