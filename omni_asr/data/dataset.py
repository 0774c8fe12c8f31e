"""Utterances of a data directory as features and unit ids.

Shapes: T frames, F features.
"""

import logging
import os
from pathlib import Path

import numpy as np
import torch

from omni_asr.config import DataConfig
from omni_asr.data.batch import Batch, collate
from omni_asr.data.filters import removal_reasons
from omni_asr.data.specaugment import SpecAugment
from omni_asr.errors import UserError
from omni_asr.files import atomic_write
from omni_asr.kaldi.ark import read_matrix
from omni_asr.kaldi.tables import read_table
from omni_asr.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)


class UtteranceSet:
    """What a data directory says about its utterances: ids, features, lengths, and unit ids where there is text.

    Args:
        data_dir: Kaldi data directory with ``feats.scp`` and ``utt2num_frames``.
        tokenizer: encodes ``text``; None leaves the text unread (decoding).

    Raises:
        UserError: a file is missing or does not match the others.
    """

    def __init__(self, data_dir: str | os.PathLike[str], tokenizer: Tokenizer | None) -> None:
        self.data_dir = Path(data_dir)
        scp = read_table(self._require("feats.scp", "stage 2"))
        frames = read_table(self._require("utt2num_frames", "stage 2"))
        self.utts = list(scp)
        if not scp:
            raise UserError(f"{data_dir}/feats.scp is empty; run stage 2 again")
        missing = next((utt for utt in self.utts if utt not in frames), None)
        if missing is not None:
            raise UserError(f"{data_dir}/utt2num_frames has no line for {missing}; run stage 2 again")
        self.sources = list(scp.values())
        self.frames = np.array([int(frames[utt]) for utt in self.utts], dtype=np.int64)
        self.texts: list[str] = []
        self.tokens: list[list[int]] = [[] for _ in self.utts]
        if tokenizer is not None:
            texts = read_table(self._require("text", "stage 1"), may_be_empty=True)
            missing = next((utt for utt in self.utts if utt not in texts), None)
            if missing is not None:
                raise UserError(f"{data_dir}/text has no line for {missing}; omni-asr fix {data_dir} repairs that")
            self.texts = [texts[utt] for utt in self.utts]
            self.tokens = [tokenizer.encode(text) for text in self.texts]

    def _require(self, name: str, made_by: str) -> Path:
        path = self.data_dir / name
        if not path.exists():
            raise UserError(f"{path} is missing; {made_by} makes it")
        return path

    def __len__(self) -> int:
        return len(self.utts)

    def hours(self, frame_shift_ms: float) -> float:
        """Length of the audio."""
        return float(self.frames.sum()) * frame_shift_ms / 3.6e6

    def load(self, index: int) -> np.ndarray:
        """Read the features (T, F) of one utterance as float32."""
        return read_matrix(self.sources[index]).astype(np.float32, copy=False)

    def remove_unusable(self, config: DataConfig, stack: int, listing: Path) -> None:
        """Drop what cannot be trained on and write the removed ids with their reasons to ``listing``.

        Raises:
            UserError: nothing is left, or more than ``data.max_removed`` would go.
        """
        reasons = removal_reasons(self.frames, self.tokens, config, stack)
        keep = [i for i, reason in enumerate(reasons) if not reason]
        removed = len(self) - len(keep)
        with atomic_write(listing) as file:
            file.writelines(f"{utt} {why}\n" for utt, why in zip(self.utts, reasons, strict=True) if why)
        where = f" (listed in {listing})" if removed else ""
        log.info("%s: %d utterances kept, %d removed%s", self.data_dir, len(keep), removed, where)
        if not keep or removed > config.max_removed * len(self):
            raise UserError(
                f"{removed} of {len(self)} utterances of {self.data_dir} would be removed (reasons in {listing}); "
                f"mend the data or allow it with --set data.max_removed=1.0"
            )
        self.utts = [self.utts[i] for i in keep]
        self.sources = [self.sources[i] for i in keep]
        self.frames = self.frames[keep]
        self.texts = [self.texts[i] for i in keep]
        self.tokens = [self.tokens[i] for i in keep]


class BatchDataset(torch.utils.data.Dataset[Batch]):
    """Loads whole batches; a key is (epoch, utterance indices), so that workers need no state.

    Args:
        utterances: where features come from.
        augment: applied to each utterance, or None.
    """

    def __init__(self, utterances: UtteranceSet, augment: SpecAugment | None = None) -> None:
        self.utterances = utterances
        self.augment = augment

    def __getitem__(self, key: tuple[int, np.ndarray]) -> Batch:
        epoch, indices = key
        items = []
        for index in indices:
            x_TF = self.utterances.load(index)
            if self.augment is not None:
                x_TF = self.augment(x_TF, epoch, int(index))
            items.append((self.utterances.utts[index], x_TF, self.utterances.tokens[index]))
        return collate(items)
