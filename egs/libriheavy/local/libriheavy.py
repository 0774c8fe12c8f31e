"""What Libriheavy's manifests say: cuts of chapters, with the text of the book and what a recogniser heard.

A manifest is gzipped JSON, one cut a line; see https://github.com/k2-fsa/libriheavy. The files are increments: the set
``medium`` is ``small`` and ``medium`` together.
"""

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omni_asr.corpora.tree import CorpusTree
from omni_asr.errors import UserError
from omni_asr.read_files import MALFORMED, reason_of
from omni_asr.text.plain import lost_in_plain, plain_words, without_brackets

SETS = {
    "small": ("small",),
    "medium": ("small", "medium"),
    "large": ("small", "medium", "large"),
    "lh_dev": ("dev",),
    "lh_test_clean": ("test_clean",),
    "lh_test_other": ("test_other",),
    "lh_test_clean_large": ("test_clean_large",),
    "lh_test_other_large": ("test_other_large",),
}
"""Manifests of each set."""
CHUNK = 1000
"""Lines that are read together: 3 MB."""
TRAINING = ("small", "medium", "large")
"""Sets that are trained on; the others are scored."""
_OFFICIAL = re.compile(r"[^A-Za-z0-9']+")

Lines = tuple[str, int, list[bytes]]
"""A file, the number of a line from 1, and lines from there."""


def manifest(name: str) -> str:
    """File name of a manifest."""
    return f"libriheavy_cuts_{name}.jsonl.gz"


def audio_parts(name: str) -> tuple[str, ...]:
    """Folders of Libri-Light that the audio of a set is in; dev and test sets are in ``large``."""
    return SETS[name] if name in TRAINING else ("large",)


def find_manifest(tree: CorpusTree, name: str) -> Path | None:
    """A manifest, packed or unpacked; not looked for among the many folders of the audio."""
    return tree.find(manifest(name), manifest(name).removesuffix(".gz"), depth=1)


def find_audio(tree: CorpusTree, part: str) -> list[Path]:
    """The folders of a part of Libri-Light that have audio; other things may be called small or large, too."""
    return [folder for folder in tree.find_all(part, depth=1) if tree.inside(folder, "*/*/*.flac")]


@dataclass(frozen=True, slots=True)
class Cut:
    """An utterance. ``problem`` says why it cannot be used; the fields between are then empty."""

    name: str
    speaker: str = ""
    words: str = ""
    recording: str = ""
    path: str = ""
    """Of the recording, from the folder of Libri-Light."""
    length: float | None = None
    """Seconds of the recording."""
    start: float = 0.0
    end: float = 0.0
    heard: bool = False
    """Whether the words are the recogniser's."""
    tables: dict[str, str] = field(default_factory=dict)
    """What is scored, by table."""
    problem: str = ""


def chunks(path: Path) -> Iterator[Lines]:
    """Lines of a manifest, some at a time.

    Raises:
        UserError: it cannot be read or is truncated.
    """
    lines: list[bytes] = []
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                lines.append(line)
                if len(lines) == CHUNK:
                    yield str(path), number - len(lines) + 1, lines
                    lines = []
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} ends or breaks after line {number} ({error}); remove it and fetch it again") from None
    if lines:
        yield str(path), number - len(lines) + 1, lines


def read_cuts(lines: Lines, is_scored: bool = False) -> list[Cut]:
    """The cuts of some lines; a function of its own so that other processes can call it.

    Of cuts that are scored, none is left out for its words: they have tables of what is scored.

    Raises:
        UserError: a line is no cut of Libriheavy.
    """
    path, first, content = lines
    cuts = []
    for number, line in enumerate(content, first):
        if line.strip():
            try:
                cuts.append(_cut(json.loads(line), is_scored))
            except MALFORMED as error:
                what = f"{type(error).__name__}: {reason_of(error)}"
                raise UserError(f"{path}:{number}: not a cut of Libriheavy ({what}); fetch the file again") from None
    return cuts


def _cut(row: dict[str, Any], is_scored: bool) -> Cut:
    recording, start = row["recording"], float(row["start"])
    supervision = row["supervisions"][0] if row["supervisions"] else {}
    speaker = str(supervision.get("speaker") or "")
    name = _flat(row["id"])
    if not speaker:
        return Cut(f"lh-{name}", problem="has no speaker")
    speaker = f"lh-{_flat(speaker).zfill(5)}"
    texts = supervision["custom"]["texts"]
    words, heard = words_of(texts)
    if words is None and not is_scored:
        return Cut(f"{speaker}-{name}", speaker, problem="has numbers or signs that the recogniser did not spell out")
    return Cut(
        name=f"{speaker}-{name}",
        speaker=speaker,
        words=words or "",
        recording=f"{speaker}-{_flat(recording['id'])}",
        path=_inside_librilight(recording["sources"][0]["source"]),
        length=recording.get("duration"),
        start=start,
        end=start + float(row["duration"]),
        heard=heard,
        tables={"text_verbatim": official_words(texts[0]), "text_whisper": without_brackets(texts[0])}
        if is_scored
        else {},
    )


def words_of(texts: list[str]) -> tuple[str | None, bool]:
    """Words for training, and whether they are what the recogniser heard; None where neither text has all words.

    The book's text is taken, in plain words. Where it has numbers, signs or foreign letters, whose words are not
    written, the aligned output of the recogniser has them.
    """
    book, heard = texts[0], texts[1] if len(texts) > 1 else ""
    if not lost_in_plain(book):
        return plain_words(book), False
    if heard and not lost_in_plain(heard):
        return plain_words(heard), True
    return None, True


def official_words(book: str) -> str:
    """The book's text as Libriheavy's own tools normalise it, but in lower case: ASCII letters, digits and ``'``."""
    return _OFFICIAL.sub(" ", book.replace("‘", "'").replace("’", "'")).strip().lower()


def _flat(name: str) -> str:
    """An id without slashes and blanks."""
    return "_".join(name.replace("/", " ").split())


def _inside_librilight(source: str) -> str:
    """A path from the folder of Libri-Light: the manifests begin with ``download/librilight/``."""
    before, found, after = source.partition("librilight/")
    return after if found else before.removeprefix("download/").lstrip("/")
