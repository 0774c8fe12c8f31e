"""Which utterances make which batch, as a pure function of lengths, seed and epoch."""

from collections.abc import Sequence

import numpy as np


def plan_batches(
    frames: Sequence[int] | np.ndarray, budget: int, most: int, seed: int = 0, epoch: int | None = None
) -> list[np.ndarray]:
    """Group utterances of similar length into batches of at most ``budget`` padded frames.

    Args:
        frames: length of each utterance.
        budget: most of ``utterances x longest`` in a batch; a longer utterance stands alone.
        most: most utterances in a batch.
        seed: with ``epoch``, decides the order.
        epoch: None keeps batches sorted from longest to shortest (decoding); a number shuffles lengths a little, so
            that batches differ between epochs, and then the batches.

    Returns:
        Arrays of utterance indices, each utterance once.
    """
    frames = np.asarray(frames)
    random = np.random.default_rng((seed, 0 if epoch is None else epoch))
    blur = np.ones(len(frames)) if epoch is None else random.uniform(0.95, 1.05, len(frames))
    order = np.argsort(-(frames * blur), kind="stable")
    batches, start, longest = [], 0, 0
    for position, index in enumerate(order):
        longest = max(longest, int(frames[index]))
        count = position - start + 1
        if count > 1 and (count * longest > budget or count > most):
            batches.append(order[start:position])
            start, longest = position, int(frames[index])
    if len(order):
        batches.append(order[start:])
    return batches if epoch is None else [batches[i] for i in random.permutation(len(batches))]
