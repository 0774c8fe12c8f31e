"""Batches are a pure function of lengths, seed and epoch."""

import numpy as np

from omni_asr.data.sampler import plan_batches

LENGTHS = np.random.default_rng(0).integers(20, 900, 500)


def as_lists(batches):
    return [batch.tolist() for batch in batches]


def test_every_utterance_once_within_the_budget():
    for epoch in (None, 0, 3):
        batches = plan_batches(LENGTHS, 6000, 40, seed=1, epoch=epoch)
        assert sorted(i for batch in batches for i in batch) == list(range(500))
        for batch in batches:
            assert len(batch) <= 40
            assert len(batch) == 1 or len(batch) * LENGTHS[batch].max() <= 6000


def test_same_seed_and_epoch_same_batches():
    first = as_lists(plan_batches(LENGTHS, 6000, 40, seed=1, epoch=2))
    assert first == as_lists(plan_batches(LENGTHS, 6000, 40, seed=1, epoch=2))
    assert first != as_lists(plan_batches(LENGTHS, 6000, 40, seed=1, epoch=3))
    assert first != as_lists(plan_batches(LENGTHS, 6000, 40, seed=2, epoch=2))


def test_padding_is_small():
    batches = plan_batches(LENGTHS, 6000, 40, seed=1, epoch=0)
    padded = sum(len(batch) * LENGTHS[batch].max() for batch in batches)
    assert padded < 1.2 * LENGTHS.sum()


def test_decoding_order_is_longest_first():
    batches = plan_batches(LENGTHS, 6000, 40)
    longest = [LENGTHS[batch].max() for batch in batches]
    assert longest == sorted(longest, reverse=True)


def test_an_utterance_above_the_budget_stands_alone():
    assert as_lists(plan_batches([10, 5000, 12], 100, 40)) == [[1], [2, 0]]
    assert plan_batches([], 100, 40) == []
