"""What a data directory says about its utterances, as memory-mapped arrays that are built once.

A manifest is a folder ``<data_dir>/manifest/<key>`` of raw arrays, one value or more an utterance, in the order of
``feats.scp``. The key is made from size and time of the tables and from the tokenizer, so a change of either makes
another manifest. Opening maps the files: no memory of its own, and the same pages for every process.
"""

import atexit
import hashlib
import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from omni_asr.data.rows import Rows, Strings
from omni_asr.data.table_walk import TableWalk, unique_entries
from omni_asr.errors import UserError
from omni_asr.files import open_to_write, remove_abandoned, temporary_folder
from omni_asr.read_files import MALFORMED
from omni_asr.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)

VERSION = 1
"""Goes up when the arrays change their meaning."""
COLUMNS = {
    "frames": "<i4",  # rows of the features
    "source": "<i4",  # number of the archive in sources
    "offset": "<i8",  # byte in the archive; -1 where the source is a whole scp value that kaldiio reads
    "needed": "<i4",  # encoder frames that CTC needs for the tokens: one each, and a blank between equal neighbours
    "ids": "u1",  # UTF-8; where each begins is in ids_bounds
    "ids_bounds": "<i8",
    "texts": "u1",
    "texts_bounds": "<i8",
    "tokens": "<u2",
    "tokens_bounds": "<i8",
    "sources": "u1",  # names of archives, or whole scp values
    "sources_bounds": "<i8",
    "by_source": "<i4",  # utterances sorted by (source, offset)
    "by_source_bounds": "<i8",  # where those of each source begin
}
"""Arrays of a manifest and their types."""
BLOCK = 20000
"""Utterances that are held in memory while building."""
BLOCK_OF_UNITS = 1 << 24
"""Units that are compared together."""
MOST_KEPT = 4
"""Manifests of one directory that are kept, for different tokenizers."""
MANIFEST = re.compile(r"\.?([0-9a-f]{16}-[0-9a-f]{16})($|\.tmp\.)")
"""Names of manifests, and of folders in which they are written."""


class Manifest:
    """An open manifest. Pickled, it is its path: another process maps the same files.

    Raises:
        UserError: the folder does not hold a whole manifest.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            sizes: dict[str, int] = json.loads((self.path / "sizes.json").read_text())
            columns = {name: _open(self.path / name, type, sizes[name]) for name, type in COLUMNS.items()}
        except (OSError, *MALFORMED):
            raise UserError(f"{path} is not a whole manifest; remove it and start again") from None
        self.frames = columns["frames"]
        self.source = columns["source"]
        self.offset = columns["offset"]
        self.needed = columns["needed"]
        self.ids = Strings(Rows(columns["ids"], columns["ids_bounds"]))
        self.texts = Strings(Rows(columns["texts"], columns["texts_bounds"]))
        self.tokens = Rows(columns["tokens"], columns["tokens_bounds"])
        self.sources = Strings(Rows(columns["sources"], columns["sources_bounds"]))
        self.by_source = Rows(columns["by_source"], columns["by_source_bounds"])

    def __reduce__(self) -> tuple[type, tuple[Path]]:
        return Manifest, (self.path,)

    def __len__(self) -> int:
        return len(self.frames)

    def rows_with(self, unit: int) -> NDArray[np.int64]:
        """Numbers of the utterances whose text has a unit, in order."""
        flat, bounds = self.tokens.flat, self.tokens.bounds
        parts = range(0, len(flat), BLOCK_OF_UNITS)
        places = [start + np.flatnonzero(flat[start : start + BLOCK_OF_UNITS] == unit) for start in parts]
        return np.unique(np.searchsorted(bounds, np.concatenate([np.empty(0, np.int64), *places]), "right") - 1)

    def digest(self, archives: bool) -> str:
        """Digest of ids, lengths and unit ids of all utterances; with ``archives``, also of what archive has which."""
        rows = [self.ids.rows, self.tokens, *([self.by_source] if archives else [])]
        arrays = [self.frames, *(array for part in rows for array in (part.bounds, part.flat))]
        found = hashlib.sha256()
        for array in arrays:
            found.update(np.ascontiguousarray(array).data)
        return found.hexdigest()


def _open(path: Path, type: str, size: int) -> NDArray:
    if path.stat().st_size != size:
        raise ValueError("torn")
    if not size:
        return np.empty(0, type)
    return np.memmap(path, type, "r").view(np.ndarray)  # as a plain array: a memmap is slow to index


def open_manifest(
    data_dir: str | os.PathLike[str], tokenizer: Tokenizer | None, fallback: str | os.PathLike[str] | None = None
) -> Manifest:
    """Open the manifest of a data directory; build it where there is none for these tables and this tokenizer.

    Args:
        data_dir: Kaldi data directory with ``feats.scp`` and ``utt2num_frames``.
        tokenizer: encodes ``text``; None leaves the text unread (decoding).
        fallback: folder for manifests of any directories that cannot be written; None takes one that lasts as long as
            the process.

    Raises:
        UserError: a table is missing, broken, or does not match the others.
    """
    data_dir = Path(data_dir)
    key = manifest_key(data_dir, tokenizer)
    folders = [data_dir / "manifest"]
    if fallback is not None:
        folders.append(Path(fallback, hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:16]))
    for folder in folders:
        if (folder / key).is_dir():
            try:
                return Manifest(folder / key)
            except UserError:  # torn by a crash of the machine
                shutil.rmtree(folder / key, ignore_errors=True)
    for folder in folders:
        try:
            return _build(data_dir, tokenizer, folder / key)
        except OSError as error:
            log.info("%s cannot be written (%s)", folder, error.strerror)
    folder = Path(tempfile.mkdtemp(prefix="omni_asr."))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return _build(data_dir, tokenizer, folder / key)


def manifest_key(data_dir: Path, tokenizer: Tokenizer | None) -> str:
    """Name of the manifest: a digest of the tables' sizes and times, a dash, and one of the tokenizer.

    Raises:
        UserError: a table is missing.
    """
    stamps = [VERSION]
    for name, stage in {"feats.scp": "stage 2", "utt2num_frames": "stage 2", "text": "stage 1"}.items():
        try:
            status = os.stat(data_dir / name)
            stamps += [status.st_size, status.st_mtime_ns]
        except FileNotFoundError:
            if name != "text" or tokenizer is not None:
                raise UserError(f"{data_dir / name} is missing; {stage} makes it") from None
    return "-".join([_digest(stamps), units_digest(tokenizer)])


def units_digest(tokenizer: Tokenizer | None) -> str:
    """Digest of the output units."""
    return _digest(repr(sorted(tokenizer.state().items())) if tokenizer is not None else "")


def _digest(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def _build(data_dir: Path, tokenizer: Tokenizer | None, path: Path) -> Manifest:
    """Write the arrays into a temporary folder and rename it; whoever comes second takes what the first made.

    Raises:
        OSError: no folder can be made beside ``path``.
        UserError: the tables are broken or changed meanwhile, or the manifest cannot be written.
    """
    with temporary_folder(path) as temporary:
        try:
            _write(data_dir, tokenizer, temporary)
            if manifest_key(data_dir, tokenizer) != path.name:
                raise UserError(f"{data_dir} changed while its tables were read; start again")
            try:
                temporary.rename(path)
            except OSError:
                if not path.is_dir():
                    raise
            manifest = Manifest(path)
        except OSError as error:
            raise UserError(f"{path}: cannot write the manifest ({error.strerror})") from None
    _remove_others(path)
    return manifest


def _remove_others(path: Path) -> None:
    """Remove manifests of tables that are no more, the oldest of too many, and what killed builders of these left."""
    stamps = path.name.partition("-")[0]
    found: dict[Path, float] = {}
    for entry in path.parent.iterdir():
        name = MANIFEST.match(entry.name)
        if name is None:  # not ours to remove
            continue
        if entry.name != name[1]:
            remove_abandoned(entry.with_name(name[1]))
            continue
        with suppress(FileNotFoundError):  # another process removes too
            found[entry] = entry.stat().st_mtime
    same = [other for other in found if other.name.startswith(stamps) and other != path]
    newest = sorted(same, key=lambda other: -found[other])[: MOST_KEPT - 1]
    for other in found:
        if other != path and other not in newest:
            shutil.rmtree(other, ignore_errors=True)


class _Writer:
    """Appends to the arrays of a manifest."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.files: dict[str, IO[bytes]] = {}
        for name in COLUMNS:
            self.files[name] = stack.enter_context(open_to_write(folder / name, "wb"))
        self.ends = {name.removesuffix("_bounds"): 0 for name in COLUMNS if name.endswith("_bounds")}
        for name in self.ends:
            self.values(f"{name}_bounds", [0])

    def values(self, name: str, values: "list[int] | NDArray") -> None:
        self.files[name].write(np.asarray(values, COLUMNS[name]).tobytes())

    def rows(self, name: str, flat: bytes, lengths: list[int]) -> None:
        """Append rows of ``lengths`` values each, whose bytes are ``flat``."""
        self.files[name].write(flat)
        bounds = self.ends[name] + np.cumsum(lengths, dtype=np.int64)
        self.values(f"{name}_bounds", bounds)
        self.ends[name] = int(bounds[-1]) if len(bounds) else self.ends[name]

    def strings(self, name: str, strings: list[str]) -> None:
        encoded = [string.encode() for string in strings]
        self.rows(name, b"".join(encoded), [len(string) for string in encoded])

    def flush(self) -> dict[str, int]:
        """Flush to the disk; return the bytes of each array."""
        for file in self.files.values():
            file.flush()
            os.fsync(file.fileno())
        return {name: file.tell() for name, file in self.files.items()}


def _write(data_dir: Path, tokenizer: Tokenizer | None, folder: Path) -> None:
    if tokenizer is not None and tokenizer.size > 1 << 16:
        raise UserError(f"a manifest holds at most {1 << 16} units, and there are {tokenizer.size}; take fewer")
    sources = _Sources()
    with ExitStack() as stack:
        writer = _Writer(folder, stack)
        for utts, values, frames, texts in _blocks(data_dir, tokenizer is not None):
            places = [split_place(value) for value in values]
            writer.values("source", [sources.number(*place) for place in places])
            writer.strings("sources", sources.take_new())
            writer.values("offset", [offset for _, offset in places])
            writer.values("frames", frames)
            writer.strings("ids", utts)
            writer.strings("texts", texts)
            _write_tokens(writer, [tokenizer.encode(text) if tokenizer is not None else [] for text in texts])
        if not sources.count:
            raise UserError(f"{data_dir}/feats.scp is empty; run stage 2 again")
        writer.flush()
        source = np.fromfile(folder / "source", COLUMNS["source"])
        order = np.lexsort((np.fromfile(folder / "offset", COLUMNS["offset"]), source))
        counts = np.bincount(source, minlength=sources.count).tolist()
        writer.rows("by_source", order.astype(COLUMNS["by_source"]).tobytes(), counts)
        sizes = writer.flush()
    with open_to_write(folder / "sizes.json") as file:
        json.dump(sizes, file)


class _Sources:
    """Numbers archives in the order in which they are first met; a whole scp value gets a number of its own."""

    def __init__(self) -> None:
        self.count = 0
        self._archives: dict[str, int] = {}
        self._new: list[str] = []

    def number(self, source: str, offset: int) -> int:
        if source in self._archives and offset >= 0:
            return self._archives[source]
        if offset >= 0:
            self._archives[source] = self.count
        self._new.append(source)
        self.count += 1
        return self.count - 1

    def take_new(self) -> list[str]:
        """Names that have been numbered since the last call."""
        new, self._new = self._new, []
        return new


def _write_tokens(writer: _Writer, tokens: list[list[int]]) -> None:
    lengths = np.array([len(ids) for ids in tokens])
    flat = np.fromiter((unit for ids in tokens for unit in ids), np.int64, int(lengths.sum()))
    row = np.repeat(np.arange(len(tokens)), lengths)
    repeats = row[1:][(flat[1:] == flat[:-1]) & (row[1:] == row[:-1])]
    writer.values("needed", lengths + np.bincount(repeats, minlength=len(tokens)))
    writer.rows("tokens", flat.astype(COLUMNS["tokens"]).tobytes(), lengths.tolist())


def split_place(value: str) -> tuple[str, int]:
    """Archive and byte offset of a scp value; a pipe, a row range or a file without offset is kept whole, with -1."""
    path, colon, offset = value.rpartition(":")
    plain = colon and offset.isdecimal() and "|" not in value and "[" not in value
    return (path, int(offset)) if plain else (value, -1)


def _blocks(data_dir: Path, with_text: bool) -> Iterator[tuple[list[str], list[str], list[int], list[str]]]:
    """Ids, scp values, frames and texts, a block of utterances at a time; shows progress on a terminal."""
    scp = data_dir / "feats.scp"
    frames_of = TableWalk(data_dir / "utt2num_frames")
    text_of = TableWalk(data_dir / "text", may_be_empty=True) if with_text else None
    block: tuple[list[str], list[str], list[int], list[str]] = ([], [], [], [])
    total = scp.stat().st_size
    with tqdm(total=total, desc=f"manifest of {data_dir}", unit="B", unit_scale=True, disable=None) as bar:
        for utt, value in unique_entries(scp):
            frames = frames_of.value_of(utt)
            if frames is None:
                raise UserError(f"{data_dir}/utt2num_frames has no line for {utt}; run stage 2 again")
            if not frames.isdecimal() or int(frames) >= 1 << 31:
                raise UserError(f"{data_dir}/utt2num_frames: {utt} has {frames!r} frames; run stage 2 again")
            text = text_of.value_of(utt) if text_of is not None else ""
            if text is None:
                raise UserError(f"{data_dir}/text has no line for {utt}; omni-asr fix {data_dir} repairs that")
            for column, item in zip(block, (utt, value, int(frames), text), strict=True):
                column.append(item)  # type: ignore[attr-defined]
            bar.update(len(utt) + len(value) + 2)
            if len(block[0]) == BLOCK:
                yield block
                block = ([], [], [], [])
    if block[0]:
        yield block
    for walk in (frames_of, text_of):
        if walk is not None:
            walk.finish()
