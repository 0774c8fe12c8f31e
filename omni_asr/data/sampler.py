"""Which utterances make which batch, as a pure function of lengths, seed, epoch and batches in a step.

Utterances are sorted by length, blurred a little so that batches differ between epochs, cut under a budget of padded
frames, and the batches shuffled. This is done pool by pool. Without shards there is one pool, of all utterances. With
shards a pool is a few archives drawn anew in each epoch, and is planned when training comes to it: memory grows by
eight bytes a step and not with the number of utterances, and reads stay within the archives of a pool.

Weights have a range of utterances seen more or less often: 2 puts each twice into its pool; of 0.5 half are drawn, anew
in every epoch. In a batch utterance i of N is the number i, and seen again in the epoch, i + N, i + 2 N and so on: what
a number stands for is its remainder, and augmentation can tell one time from another.

An optimizer step takes ``group`` batches: those of all ranks, and of each rank as many as it accumulates. The epoch's
batches, in their order and filled up from their start, are cut into ``group`` *lanes* of equal length; step s takes
batch s of every lane. Rank r of R walks lanes r * group / R and the following, so every rank has as many batches as
every other, and one process that accumulates two batches takes the steps that two processes take.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from omni_asr.config import DataConfig

BLUR = 0.05
"""Lengths are multiplied by 1 up to this more or less before they are sorted."""
WEIGHTS = 1
"""Marks the random numbers that weights draw with, so that they move no others."""
BLOCK = 1 << 16
"""Lengths that are Python numbers at a time."""


class Weights(NamedTuple):
    """How often an epoch has utterances: those from ``bounds[i]`` to ``bounds[i + 1]`` ``factors[i]`` times."""

    bounds: NDArray
    factors: tuple[float, ...]


def plan_batches(frames: Sequence[int] | NDArray, budget: int, most: int) -> list[NDArray]:
    """Batches from longest to shortest, for decoding: each utterance once, at most ``budget`` padded frames.

    Args:
        frames: length of each utterance.
        budget: most of ``utterances x longest`` in a batch; a longer utterance stands alone.
        most: most utterances in a batch.
    """
    frames = np.asarray(frames, np.int64)
    order = np.argsort(-frames, kind="stable")
    bounds = _cut(frames[order], budget, most)
    return [order[start:end] for start, end in zip(bounds[:-1], bounds[1:], strict=True)]


def plan_epoch(
    frames: NDArray,
    config: DataConfig,
    seed: int,
    epoch: int,
    group: int = 1,
    shards: Sequence[NDArray] | None = None,
    weights: Weights | None = None,
) -> "EpochPlan":
    """Plan the batches of one epoch; with the same arguments they are the same in every process.

    Args:
        frames: length of each utterance.
        config: ``batch_frames`` and ``max_utterances`` bound a batch, ``shards_per_pool`` a pool.
        seed: with ``epoch``, decides the order.
        epoch: number of the pass over the data.
        group: batches in one optimizer step: ranks x ``optim.accumulate``.
        shards: utterances of each archive; None makes one pool of all.
        weights: how often utterances are seen; None, or weights of 1, have each of them once.
    """
    return EpochPlan(frames, config, seed, epoch, group, shards, weights)


class Pool(NamedTuple):
    """Batches of one pool: batch j is ``order[bounds[j] : bounds[j + 1]]``, and they come in the order ``shuffled``."""

    order: NDArray
    bounds: NDArray
    shuffled: NDArray

    def batch(self, place: int) -> NDArray:
        """Numbers of the batch that comes at a place."""
        number = self.shuffled[place]
        return self.order[self.bounds[number] : self.bounds[number + 1]]


class EpochPlan:
    """The batches of an epoch, from :func:`plan_epoch`. Its length is the number of optimizer steps."""

    def __init__(
        self,
        frames: NDArray,
        config: DataConfig,
        seed: int,
        epoch: int,
        group: int,
        shards: Sequence[NDArray] | None,
        weights: Weights | None = None,
    ) -> None:
        self.frames, self.config, self.seed, self.epoch = frames, config, seed, epoch
        self.group, self.shards = group, shards
        self.weights = weights if weights is not None and any(factor != 1 for factor in weights.factors) else None
        drawn = self._random(0).permutation(len(shards)) if shards is not None else np.zeros(1, np.int64)
        width = config.shards_per_pool
        self._drawn = [drawn[start : start + width] for start in range(0, len(drawn), width)]
        self._pools: OrderedDict[int, Pool] = OrderedDict()
        counts, frames_of = [], [np.empty(0, np.int32)]
        self.largest: list[NDArray] = []
        """The batches that take most memory, by :func:`largest_of`."""
        for number in range(len(self._drawn)):
            pool = self._pool(number, 1)
            counts.append(len(pool.shuffled))
            frames_of.append(self._look_at(pool))
        self._firsts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        self.batches = int(self._firsts[-1])
        """Batches before the last step is filled up."""
        self.step_frames = self._add_up(frames_of)
        """Frames of the batches of each step on all ranks, without padding."""

    def __len__(self) -> int:
        return -(-self.batches // self.group)

    def batches_of(self, step: int, rank: int = 0, ranks: int = 1) -> list[NDArray]:
        """Numbers of each batch that a rank takes in a step: ``group / ranks`` arrays."""
        each = self.group // ranks
        places = [(lane * len(self) + step) % self.batches for lane in range(rank * each, (rank + 1) * each)]
        return [self._batch(place, each) for place in places]

    def walk(self, step: int = 0, rank: int = 0, ranks: int = 1) -> Iterator[tuple[int, NDArray]]:
        """What a :class:`BatchDataset` loads for a rank from a step to the end: (epoch, numbers) of each batch."""
        for number in range(step, len(self)):
            for indices in self.batches_of(number, rank, ranks):
                yield self.epoch, indices

    def _batch(self, place: int, lanes: int) -> NDArray:
        number = int(np.searchsorted(self._firsts, place, side="right")) - 1
        return self._pool(number, lanes).batch(place - int(self._firsts[number]))

    def _pool(self, number: int, most: int) -> Pool:
        """Plan a pool, or take it from the ``most`` that were used last."""
        if number not in self._pools:
            while len(self._pools) >= most:
                self._pools.popitem(last=False)
            self._pools[number] = self._plan_pool(number)
        self._pools.move_to_end(number)
        return self._pools[number]

    def _plan_pool(self, number: int) -> Pool:
        frames, chosen, random = self.frames, None, self._random(0)
        if self.shards is not None:
            chosen = np.concatenate([self.shards[shard] for shard in self._drawn[number]])
            random = self._random(1 + number)
        if self.weights is not None:
            chosen = self._weigh(np.arange(len(frames)) if chosen is None else chosen, number)
        if chosen is not None:
            frames = self._frames_of(chosen)
        order = np.argsort(-(frames * random.uniform(1 - BLUR, 1 + BLUR, len(frames))), kind="stable")
        bounds = _cut(frames[order], self.config.batch_frames, self.config.max_utterances)
        return Pool(order if chosen is None else chosen[order], bounds, random.permutation(len(bounds) - 1))

    def _frames_of(self, numbers: NDArray) -> NDArray:
        return self.frames[numbers % len(self.frames)] if self.weights is not None else self.frames[numbers]

    def _weigh(self, utterances: NDArray, pool: int) -> NDArray:
        """Numbers of utterances as often as their weights want; what is left beyond whole numbers is drawn."""
        assert self.weights is not None
        random = np.random.default_rng((self.seed, self.epoch, pool, WEIGHTS))
        range_of = np.searchsorted(self.weights.bounds, utterances, side="right") - 1
        parts = []
        for number, factor in enumerate(self.weights.factors):
            mine, whole = utterances[range_of == number].astype(np.int64), int(factor)
            drawn = int((factor - whole) * len(mine) + random.random())  # on average exact, however small the pool
            times = [mine] * whole + [random.permutation(mine)[:drawn]]
            parts += [again + time * len(self.frames) for time, again in enumerate(times)]
        return np.concatenate(parts)

    def _random(self, stream: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, self.epoch, stream) if stream else (self.seed, self.epoch))

    def _look_at(self, pool: Pool) -> NDArray:
        """Frames of each batch of a pool, in the order in which they come; keeps the largest batches."""
        if not len(pool.shuffled):
            return np.empty(0, np.int32)
        frames, starts = self._frames_of(pool.order).astype(np.int64), pool.bounds[:-1]
        found = largest_of(np.maximum.reduceat(frames, starts), np.diff(pool.bounds))
        batches = [*self.largest, *(pool.order[pool.bounds[n] : pool.bounds[n + 1]] for n in found)]
        longest = np.array([self._frames_of(batch).max() for batch in batches], np.int64)
        self.largest = [batches[n] for n in largest_of(longest, np.array([len(batch) for batch in batches]))]
        return np.add.reduceat(frames, starts)[pool.shuffled].astype(np.int32)

    def _add_up(self, frames_of: list[NDArray]) -> NDArray:
        """Frames of each step, from those of the batches of every pool."""
        sums, flat = np.zeros(len(self), np.int64), np.concatenate(frames_of)
        for lane in range(self.group):
            part = flat[lane * len(self) : (lane + 1) * len(self)]
            sums[: len(part)] += part
        for place in range(self.batches, self.group * len(self)):
            sums[place % len(self)] += flat[place % self.batches]
        return sums


def largest_of(longest: NDArray, utterances: NDArray) -> list[int]:
    """Numbers of the batches that take most memory, one or two.

    What the layers keep grows with the padded frames of a batch, attention with those times the longest: one long
    utterance may take more than many short ones.

    Args:
        longest: frames of the longest utterance of each batch, int64.
        utterances: how many there are in each batch.
    """
    padded = longest * utterances
    return sorted({int(padded.argmax()), int((padded * longest).argmax())})


def _cut(frames: NDArray, budget: int, most: int) -> NDArray:
    """Where batches begin among utterances in this order, and where the last ends."""
    bounds, count, longest = [0], 0, 0
    for start in range(0, len(frames), BLOCK):
        for position, length in enumerate(frames[start : start + BLOCK].tolist(), start):
            count += 1
            if length > longest:
                longest = length
            if count > 1 and (count * longest > budget or count > most):
                bounds.append(position)
                count, longest = 1, length
    return np.array([*bounds, len(frames)] if len(frames) else [0], np.int64)
