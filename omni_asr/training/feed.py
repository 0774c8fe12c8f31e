"""The batches that training takes, epoch after epoch, from wherever it stands."""

import itertools
from collections.abc import Callable, Iterator

from numpy.typing import NDArray

from omni_asr.config import Config
from omni_asr.data.batch import Batch
from omni_asr.data.corpora import as_weights, corpora_of
from omni_asr.data.dataset import BatchDataset, UtteranceSet
from omni_asr.data.loading import Key, load_batches
from omni_asr.data.sampler import EpochPlan, plan_epoch
from omni_asr.data.specaugment import SpecAugment
from omni_asr.training.checkpoint import Position
from omni_asr.training.ranks import Ranks


class Feed:
    """This rank's batches of a training set, a step at a time: a function of the seed and of how far training is.

    Args:
        config: the complete configuration.
        train_set: utterances to train on, already filtered.
        ranks: the processes that train together, this one among them.

    Raises:
        UserError: ``data.weights`` does not fit the set.
    """

    def __init__(self, config: Config, train_set: UtteranceSet, ranks: Ranks) -> None:
        data, seed = config.data, config.train.seed
        augment = SpecAugment(data, seed) if data.time_masks > 0 or data.frequency_masks > 0 else None
        self.config = config
        self.train_set = train_set
        self.ranks = ranks
        self._dataset = BatchDataset(train_set, augment, read_ahead=data.shards)
        self._weights = as_weights(corpora_of(train_set, data.weights))
        self._latest = self._make_plan(0)
        self._step_frames: dict[int, NDArray] = {}
        """Of each epoch from that of training to that of loading, which is ahead: frames of its steps."""
        self.steps_of_first_epoch = len(self._latest)

    @property
    def batches_per_step(self) -> int:
        """Batches whose gradients make one step, on all ranks."""
        return self.ranks.size * self.config.optim.accumulate

    def steps(self, position: Position, pin: bool, interrupted: Callable[[], bool]) -> Iterator[list[Batch]]:
        """The batches of this rank for each step from ``position`` on, without end.

        Args:
            position: where training stands now; it may move on while batches are loaded.
            pin: put them into page-locked memory, from where a GPU takes them without waiting.
            interrupted: asked while waiting for a batch.

        Raises:
            Interrupted: it said so.
            UserError: data vanished or are damaged.
        """
        keys = self._keys(position.epoch, position.done)
        batches = load_batches(self._dataset, keys, self.config.data.workers, pin, interrupted)
        while True:
            yield list(itertools.islice(batches, self.config.optim.accumulate))

    def largest(self, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch that take most memory."""
        return (self._dataset[epoch, numbers] for numbers in self._plan(epoch).largest)

    def enter(self, position: Position) -> int:
        """Before a step whose batches are there: go to the next epoch if that of ``position`` is over.

        Returns the frames of the step on all ranks, which the plan knows: nobody need ask the others.
        """
        if position.done >= len(self._step_frames[position.epoch]):
            del self._step_frames[position.epoch]
            position.epoch, position.done = position.epoch + 1, 0
        return int(self._step_frames[position.epoch][position.done])

    def epochs(self, position: Position) -> float:
        """Epochs done, with the share of the one under way."""
        frames = self._step_frames.get(position.epoch, self._latest.step_frames)
        return position.epoch + position.done / len(frames)

    def _keys(self, epoch: int, done: int) -> Iterator[Key]:
        """What this rank loads, from so many steps of an epoch on."""
        while True:
            plan = self._plan(epoch)
            self._step_frames[epoch] = plan.step_frames
            yield from plan.walk(done, self.ranks.rank, self.ranks.size)
            epoch, done = epoch + 1, 0

    def _plan(self, epoch: int) -> EpochPlan:
        """The batches of an epoch, the same on all ranks."""
        if self._latest.epoch != epoch:
            self._latest = self._make_plan(epoch)
        return self._latest

    def _make_plan(self, epoch: int) -> EpochPlan:
        data, train = self.config.data, self.train_set
        shards = train.shards if data.shards else None
        return plan_epoch(
            train.frames, data, self.config.train.seed, epoch, self.batches_per_step, shards, self._weights
        )
