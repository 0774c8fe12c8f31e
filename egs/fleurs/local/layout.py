"""The layouts in which FLEURS, American English, is found."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omni_asr.corpora.download import unpack_beside
from omni_asr.corpora.tree import CorpusTree
from omni_asr.errors import UserError

SETS = {"train": ("train",), "dev": ("dev", "validation"), "test": ("test",)}
"""Names that the sets have in copies."""
LISTS = ("data/en_us", "en_us", "metadata/en_us", "snapshots/*/data/en_us", ".")
"""Folders of the TSV files: of the hub, its older archive, lhotse, the hub's cache, and one that is named itself."""
ELSEWHERE = "data/en_us/audio"
"""Folder of the audio whose list is in a folder that cannot be written."""


@dataclass(frozen=True)
class Part:
    """What a copy has of a set; None where it lacks that."""

    table: Path | None = None
    audio: Path | None = None
    """Folder of the WAV files."""
    archive: Path | None = None
    """Archive of that folder, not yet unpacked."""


def unpack_older(tree: CorpusTree, folders: Sequence[Path]) -> CorpusTree:
    """Unpack en_us.tar.gz, the older archive of all sets, once: beside it, or in the first folder that can be written.

    Args:
        tree: the folders of the user that are there.
        folders: all of them.
    """
    archives = [path for root in tree.roots for path in tree.files(root, "en_us.tar.gz")]
    if not archives or any((folder / "en_us").exists() for folder in folders):
        return tree
    unpack_beside(archives[0], *folders)
    return CorpusTree.of_those_there(folders)


def find_part(tree: CorpusTree, name: str) -> Part:
    """What there is of a set; the first list that has audio, as lists may be fetched without."""
    parts = [_part_of(tree, table, name) for table in _tables(tree, name)]
    parts.sort(key=lambda part: (part.audio is None, part.archive is None))
    return parts[0] if parts else Part()


def need_part(tree: CorpusTree, name: str, folders: Sequence[Path]) -> tuple[Path, Path]:
    """The TSV file of a set and the folder of its audio, unpacked if need be.

    Args:
        tree: the folders of the user that are there.
        name: of the set.
        folders: all of them; where nobody may write beside an archive, the first that can be written gets its files.

    Raises:
        UserError: one of them is missing.
    """
    part = find_part(tree, name)
    where = ", ".join(map(str, tree.roots))
    if part.table is None:
        raise UserError(f"{where} has no en_us/{name}.tsv of FLEURS; stage 0 fetches it, or name another --corpus_dir")
    if part.audio is not None:
        return part.table, part.audio
    if part.archive is None:
        raise UserError(f"{part.table} is there, but no audio/{name} beside it; stage 0 fetches it")
    unpack_beside(part.archive, *(folder / ELSEWHERE for folder in folders))
    audio = find_part(CorpusTree.of_those_there(folders), name).audio
    if audio is None:
        raise UserError(f"{part.archive} has no folder {name}; remove it, and stage 0 fetches it again")
    return part.table, audio


def _tables(tree: CorpusTree, name: str) -> list[Path]:
    found = []
    for folder in LISTS:
        for own in SETS[name]:
            if folder == ".":
                found += [path for root in tree.roots for path in tree.files(root, f"{own}.tsv")]
            else:
                found += list(tree.find_all(f"{folder}/{own}.tsv", depth=1))
    return list(dict.fromkeys(path for path in found if path.parent.name.lower() == "en_us"))


def _part_of(tree: CorpusTree, table: Path, name: str) -> Part:
    """The audio of a list: beside it, beside the folder metadata that it is in, or where it is unpacked elsewhere."""
    here = table.parent
    archive = None
    for folder in (here / "audio", here, here.parent.parent / "en_us", *(root / ELSEWHERE for root in tree.roots)):
        for own in SETS[name]:
            found = tree.inside(folder, own)
            if found is not None and found.is_dir():
                return Part(table, audio=found)
            archive = archive or tree.inside(folder, f"{own}.tar.gz")
    return Part(table, archive=archive)
