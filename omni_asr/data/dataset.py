"""Utterances of a data directory as features and unit ids.

Shapes: N utterances, T frames, F features.
"""

import contextlib
import functools
import logging
import math
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from omni_asr.audio.fbank_conf import columns_of
from omni_asr.config import DataConfig
from omni_asr.data.batch import Batch, collate
from omni_asr.data.filters import removal_reasons
from omni_asr.data.manifest import Manifest, open_manifest
from omni_asr.data.rows import Rows, Strings
from omni_asr.data.specaugment import SpecAugment
from omni_asr.errors import UserError
from omni_asr.files import atomic_write
from omni_asr.kaldi.ark import read_matrix
from omni_asr.kaldi.matrix import AGAIN, ArkFiles, Header, decode, feature_fault, stored_fault
from omni_asr.kaldi.pipes import check_pipes
from omni_asr.text.tokenizer import Tokenizer
from omni_asr.text.unknown import count_unknown, refuse_unknown

log = logging.getLogger(__name__)


class UtteranceSet:
    """What a data directory says about its utterances: ids, features, lengths, and unit ids where there is text.

    All of it is mapped from a :class:`Manifest`; the sequences below make their strings and arrays when asked.

    Args:
        data_dir: Kaldi data directory with ``feats.scp`` and ``utt2num_frames``.
        tokenizer: encodes ``text``; None leaves the text unread (decoding).
        fallback: folder for manifests where ``data_dir`` cannot be written.

    Attributes:
        utts: ids.
        frames: lengths, int32 (N,).
        needed: encoder frames that CTC needs for each text, int32 (N,).
        texts: transcripts; empty without a tokenizer.
        tokens: unit ids of each transcript.
        shards: utterances of each archive.

    Raises:
        UserError: a file is missing or does not match the others, or features come from a command where commands are
            refused.
    """

    def __init__(
        self,
        data_dir: str | os.PathLike[str],
        tokenizer: Tokenizer | None,
        fallback: str | os.PathLike[str] | None = None,
    ) -> None:
        self.data_dir = Path(data_dir)
        check_pipes(self.data_dir / "feats.scp")
        self.manifest = open_manifest(data_dir, tokenizer, fallback)
        self.files = ArkFiles()
        self._see(None)

    def _see(self, kept: NDArray | None) -> None:
        """Show the utterances ``kept`` of the manifest, in order; None shows all and costs no memory."""
        manifest = self.manifest
        self.kept = kept
        self.frames = manifest.frames if kept is None else manifest.frames[kept]
        self.needed = manifest.needed if kept is None else manifest.needed[kept]
        self.utts, self.texts = (_chosen(strings, kept) for strings in (manifest.ids, manifest.texts))
        self.tokens = Rows(manifest.tokens.flat, manifest.tokens.bounds, kept)
        self.shards = Shards(manifest, kept)

    def __len__(self) -> int:
        return len(self.frames)

    def hours(self, frame_shift_ms: float) -> float:
        """Length of the audio."""
        return float(self.frames.sum(dtype=np.int64)) * frame_shift_ms / 3.6e6

    @functools.cached_property
    def columns(self) -> int:
        """Width of the features: that of ``fbank.conf``, or of the first matrix where there is none.

        Raises:
            UserError: ``fbank.conf`` or the first matrix cannot be read.
        """
        columns = columns_of(self.data_dir)
        if columns is None:
            place, stored = self._stored(0)
            columns = stored[1].columns if stored is not None else read_matrix(place).shape[-1]
        return columns

    def load(self, index: int) -> NDArray[np.float32]:
        """Read the features (T, F) of one utterance.

        Raises:
            UserError: they are gone or torn, not as long as ``utt2num_frames`` says, of another width than the others,
                or hold what is no feature.
        """
        with self._naming(index):
            row = self._row(index)
            place, stored = self._stored(row)
            if stored is not None:
                self._check(row, place, stored[1].rows, stored_fault(*stored, self.columns))
                return decode(*stored)
            matrix = read_matrix(place)
            self._check(row, place, len(matrix), feature_fault(matrix, self.columns))
            return matrix.astype(np.float32, copy=False)

    def load_bytes(self, index: int) -> bytes | None:
        """Read the features of one utterance as the archive has them; None where they are no binary matrix in one.

        Raises:
            UserError: as :meth:`load`.
        """
        with self._naming(index):
            row = self._row(index)
            place, stored = self._stored(row)
            if stored is None:
                return None
            data, header = stored
            self._check(row, place, header.rows, stored_fault(data, header, self.columns))
            return data[: header.size]

    def _row(self, index: int) -> int:
        """Row of an utterance in the manifest."""
        return int(index if self.kept is None else self.kept[index])

    def _stored(self, row: int) -> tuple[str, tuple[bytes, Header] | None]:
        """Place of features, and their bytes with the header where they are a binary matrix in an archive."""
        manifest = self.manifest
        source, offset = manifest.sources[manifest.source[row]], int(manifest.offset[row])
        if offset < 0:
            return source, None
        return f"{source}:{offset}", self.files.read(source, offset, int(manifest.frames[row]))

    def _check(self, row: int, place: str, rows: int, fault: str) -> None:
        """Raise UserError for features with a fault, or of another length than ``utt2num_frames`` says."""
        frames = int(self.manifest.frames[row])
        if rows != frames:
            fault = f"{rows} frames where {frames} should be"
        if fault:
            raise UserError(f"{place}: {fault}; {AGAIN}")

    @contextlib.contextmanager
    def _naming(self, index: int) -> Iterator[None]:
        """Name the utterance in the errors of a block that reads its features."""
        try:
            yield
        except UserError as error:
            raise UserError(f"features of {self.utts[index]}: {error}") from None

    def load_all(self, indices: Sequence[int] | NDArray) -> list[NDArray[np.float32]]:
        """Read the features (T, F) of several utterances by :meth:`load`, archive by archive from front to back."""
        rows = np.asarray(indices) if self.kept is None else self.kept[indices]
        order = np.lexsort((self.manifest.offset[rows], self.manifest.source[rows]))
        loaded = {place: self.load(int(indices[place])) for place in order.tolist()}
        return [loaded[place] for place in range(len(loaded))]

    def check_archives(self, shards: bool) -> None:
        """Look, without reading them, whether all archives are there and as long as the places in them say.

        ``shards``: warn of archives that ``omni-asr shard`` has not shuffled.

        Raises:
            UserError: naming the archive.
        """
        manifest = self.manifest
        for number, rows in enumerate(manifest.by_source):
            places = manifest.offset[rows]
            if len(places) and places.min() >= 0:
                path, last = manifest.sources[number], int(places.max())
                if not os.path.exists(path):
                    raise UserError(f"{path}, which {self.data_dir}/feats.scp names, is missing; run stage 2 again")
                if os.path.getsize(path) <= last:
                    raise UserError(f"{path} ends before its last matrix, at {last}; run stage 2 again")
        if shards and not (self.data_dir / "shards").is_dir():
            log.warning("%s was not made by omni-asr shard: its archives are not shuffled", self.data_dir)

    def remove_wordless(self, stack: int) -> None:
        """Drop utterances without text, and say how many: validation has nothing to compare them with.

        Raises:
            UserError: nothing is left, or nothing that has as many encoder frames of ``stack`` as CTC needs.
        """
        empty_N = np.diff(self.manifest.tokens.bounds) == 0
        if empty_N.all():
            raise UserError(f"{self.data_dir}/text has no words to validate with; name another set")
        if empty_N.any():
            log.info("%s: %d of %d utterances have no text and are left out", self.data_dir, empty_N.sum(), len(self))
            self._see(np.flatnonzero(~empty_N).astype(np.int32))
        if (self.needed > -(-self.frames // stack)).all():
            raise UserError(f"every utterance of {self.data_dir} is too short for its text; validate with another set")

    def refuse_unknown(self, tokenizer: Tokenizer, most: float, listing: Path | None) -> None:
        """Count the words that the units cannot spell; list their utterances in ``listing``, if one is given.

        Costs one pass over the unit ids where there is none.

        Raises:
            UserError: they are more than the share ``most``.
        """
        rows = self.manifest.rows_with(tokenizer.unknown_id)
        if self.kept is not None:
            rows = np.intersect1d(rows, self.kept, assume_unique=True)
        texts = ((utt, text.split()) for utt, text in zip(self.utts, self.texts, strict=True))
        counts = count_unknown(texts if len(rows) else (), tokenizer, listing)
        refuse_unknown(counts, tokenizer, f"{self.data_dir}/text", listing, most, "data.max_unknown")

    def remove_unusable(self, config: DataConfig, stack: int, listing: Path | None) -> None:
        """Drop what cannot be trained on and write the removed ids with their reasons to ``listing``, if one is given.

        With something dropped, every process keeps eight bytes for each utterance that stays.

        Raises:
            UserError: nothing is left, or more than ``data.max_removed`` would go.
        """
        lengths = np.diff(self.tokens.bounds)
        removed = 0
        if self.kept is not None:
            lengths = lengths[self.kept]
        keep_N = np.ones(len(self), bool)
        with atomic_write(listing) if listing is not None else open(os.devnull, "w") as file:
            for index, why in removal_reasons(self.frames, lengths, self.needed, config, stack):
                keep_N[index] = False
                removed += 1
                file.write(f"{self.utts[index]} {why}\n")
        where = f" (listed in {listing})" if removed and listing is not None else ""
        log.info("%s: %d utterances kept, %d removed%s", self.data_dir, len(self) - removed, removed, where)
        if removed == len(self):
            raise UserError(f"none of {removed} utterances of {self.data_dir} can be trained on{where}; mend the data")
        if removed / len(self) > config.max_removed:
            share = math.ceil(1000 * removed / len(self)) / 1000
            raise UserError(
                f"{removed} of {len(self)} utterances of {self.data_dir} would be removed{where}; mend the data, or "
                f"allow it with --max_removed {share:g} of the recipe (data.max_removed)"
            )
        if removed:
            kept = np.flatnonzero(keep_N).astype(np.int32)
            self._see(kept if self.kept is None else self.kept[kept])


def _chosen(strings: Strings, kept: NDArray | None) -> Strings:
    return Strings(Rows(strings.rows.flat, strings.rows.bounds, kept))


class Shards(Sequence[NDArray]):
    """Utterances of each archive, as indices of an :class:`UtteranceSet`, made when asked.

    Args:
        manifest: all utterances by archive.
        kept: those that the set shows, sorted; None for all.
    """

    def __init__(self, manifest: Manifest, kept: NDArray | None) -> None:
        self.manifest, self.kept = manifest, kept

    def __len__(self) -> int:
        return len(self.manifest.by_source)

    def __getitem__(self, number):  # type: ignore[no-untyped-def]
        rows = self.manifest.by_source[number]
        if self.kept is None:
            return rows
        indices = np.searchsorted(self.kept, rows)
        indices[indices == len(self.kept)] = 0
        return indices[self.kept[indices] == rows]


class BatchDataset(torch.utils.data.Dataset[Batch]):
    """Loads whole batches; a key is (epoch, numbers of a batch of the plan), so that workers need no state.

    A number is the index of an utterance plus the utterances of the set for each time that the epoch has had it before.

    Args:
        utterances: where features come from.
        augment: applied to each utterance, or None.
        read_ahead: have whole archives read into the page cache when they are first touched (``data.shards``).
    """

    def __init__(self, utterances: UtteranceSet, augment: SpecAugment | None = None, read_ahead: bool = False) -> None:
        self.utterances = utterances
        self.augment = augment
        self.allocate: Callable[[tuple[int, int, int]], Tensor] = torch.empty
        utterances.files = ArkFiles(read_ahead)

    def __getitem__(self, key: tuple[int, NDArray]) -> Batch:
        epoch, numbers = key
        times, indices = np.divmod(numbers, len(self.utterances))
        items = []
        for index, time, x_TF in zip(indices, times, self.utterances.load_all(indices), strict=True):
            if self.augment is not None:
                x_TF = self.augment(x_TF, epoch, int(index), int(time))
            items.append((self.utterances.utts[index], x_TF, self.utterances.tokens[index]))
        return collate(items, self.allocate)
