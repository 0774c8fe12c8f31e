"""Data directories of several corpora joined for training, with their features, line by line.

Unlike :mod:`omni_asr.kaldi.combine`, ids get the name of their corpus in front, so that none meet and the utterances of
a corpus stay together; texts are put into one convention; nothing is held in memory.
"""

import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from omni_asr.errors import UserError
from omni_asr.files import open_to_write, temporary_folder
from omni_asr.kaldi.data_dir import kind_of
from omni_asr.kaldi.tables import read_entries, read_lines, sort_key
from omni_asr.kaldi.validate import PARTIAL
from omni_asr.text.plain import lost_in_plain, plain_words

log = logging.getLogger(__name__)

CORPORA = "corpora"
"""File of a joined directory: ``<name> <directory>`` for each corpus; its utterances begin with ``<name>-``."""
NEEDED = ("feats.scp", "utt2num_frames", "text", "utt2spk", "spk2utt", "fbank.conf")
_NAME = re.compile(r"[A-Za-z0-9_.]+")
_PLAIN = re.compile(r"[a-z' ]*")


def join_corpora(out: str | os.PathLike[str], sources: Mapping[str, str | os.PathLike[str]]) -> dict[str, int]:
    """Write a directory of all utterances of some directories that have features; return how many each has.

    Ids of utterances, speakers and recordings become ``<name>-<id>``. Tables that a source lacks are left out, with a
    note; whole recordings become segments where other sources have segments. ``text`` is in plain words: a text with
    digits or signs, whose words are not written, becomes empty, and training leaves it out.

    Args:
        out: directory to write; it must not exist.
        sources: directories by the names of their corpora.

    Raises:
        UserError: a source lacks features, is not sorted, or was made with other filterbank options; a name or a
            source is given twice.
    """
    out = Path(out)
    parts = {name: Path(source) for name, source in sorted(sources.items(), key=lambda item: sort_key(f"{item[0]}-"))}
    _check(out, parts)
    with temporary_folder(out) as temporary:
        counts = _write(temporary, parts)
        with open_to_write(temporary / CORPORA) as file:
            file.writelines(f"{name} {source}\n" for name, source in sources.items())
        shutil.copyfile(next(iter(parts.values())) / "fbank.conf", temporary / "fbank.conf")
        temporary.rename(out)
    return {name: counts[name] for name in sources}


def _check(out: Path, parts: Mapping[str, Path]) -> None:
    if out.exists():
        raise UserError(f"{out} is there already; remove it or name another directory")
    first = next(iter(parts.values()))
    seen: dict[str, str] = {}
    for name, source in parts.items():
        if not _NAME.fullmatch(name):
            raise UserError(f"{name!r} cannot be the name of a corpus: letters, digits, '_' and '.' only")
        for table in NEEDED:
            if not (source / table).is_file():
                raise UserError(f"{source / table} does not exist; join directories with features (stage 2)")
        if read_lines(source / "fbank.conf") != read_lines(first / "fbank.conf"):
            raise UserError(f"{source}/fbank.conf differs from {first}/fbank.conf; make the features of one anew")
        other = seen.setdefault(os.path.realpath(source), name)
        if other != name:
            raise UserError(f"{source} is given as {other} and as {name}; a weight of 2 has it seen twice")


def _write(out: Path, parts: Mapping[str, Path]) -> dict[str, int]:
    """Write the tables; return how many utterances with features each source has."""
    names = {name: {file.name for file in source.iterdir() if kind_of(file.name)} for name, source in parts.items()}
    counts = dict.fromkeys(parts, 0)
    for table in sorted(set.union(*names.values()) - {"stm", "cmvn.scp"}):
        lacking = [name for name in parts if table not in names[name]]
        if lacking and table not in (PARTIAL, "segments"):
            log.info("%s is left out: %s lacks it", table, parts[lacking[0]])
            continue
        if table == "segments" and not all("wav.scp" in tables for tables in names.values()):
            continue  # then the joined directory has no recordings
        with open_to_write(out / table) as file:
            for name, source in parts.items():
                for key, value in _rows(source, name, table):
                    file.write(f"{key} {value}\n" if value else f"{key}\n")
                    counts[name] += table == "feats.scp"
    return counts


def _rows(source: Path, name: str, table: str) -> Iterator[tuple[str, str]]:
    """Lines of a table under their new ids."""
    path = source / table
    if not path.exists():
        if table == "segments":  # -1 is the end of the recording
            yield from ((f"{name}-{key}", f"{name}-{key} 0 -1") for _, key, _ in read_entries(source / "wav.scp"))
        return
    previous = ""
    texts = _Texts(source)
    for number, key, value in read_entries(path, may_be_empty=table.startswith("text")):
        if key <= previous:
            raise UserError(f"{path}:{number}: {key!r} comes after {previous!r}; omni-asr fix {source} sorts it")
        previous = key
        if table == "text":
            value = texts.plain(key, value)
        elif table in ("utt2spk", "segments", "utt2uniq"):
            value = f"{name}-{value}"
        elif table == "spk2utt":
            value = " ".join(f"{name}-{utterance}" for utterance in value.split())
        elif table in ("feats.scp", "wav.scp"):
            value = _found(source, value)
        yield f"{name}-{key}", value
    texts.report()


def _found(source: Path, value: str) -> str:
    """A scp value that is found from every folder: relative paths count from the folder of the source's recipe."""
    if value.startswith("/") or value.endswith("|") or " " in value:
        return value
    return os.path.abspath(source.absolute().parents[1] / value)


class _Texts:
    """Puts the texts of a source into the convention of training, and counts what that changes."""

    def __init__(self, source: Path) -> None:
        self.source, self.changed, self.emptied, self.first = source, 0, 0, ""

    def plain(self, key: str, text: str) -> str:
        """A text in plain words; nothing where words would be lost."""
        if _PLAIN.fullmatch(lower := text.lower()):  # its apostrophes are no quotes
            self.changed += lower != text
            return lower
        if lost_in_plain(text):
            self.first = self.first or key
            self.emptied += 1
            return ""
        self.changed += 1
        return plain_words(text)

    def report(self) -> None:
        """Say what was changed."""
        if self.changed:
            log.info("%s: %d texts were put into plain words (a-z and ')", self.source, self.changed)
        if self.emptied:
            what = "texts have digits, signs or foreign letters and become empty, so that training leaves them out"
            log.warning("%s: %d %s; the first is %s", self.source, self.emptied, what, self.first)
