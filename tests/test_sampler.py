"""Batches are a pure function of lengths, seed, epoch and the batches of a step."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from omni_asr.config import DataConfig
from omni_asr.data.sampler import EpochPlan, Weights, plan_batches, plan_epoch

LENGTHS = np.random.default_rng(0).integers(20, 900, 500)
CONFIG = DataConfig(batch_frames=6000, max_utterances=40)


def as_lists(batches):
    return [batch.tolist() for batch in batches]


def steps_of(plan: EpochPlan, start: int = 0, rank: int = 0, ranks: int = 1) -> list:
    return [as_lists(plan.batches_of(step, rank, ranks)) for step in range(start, len(plan))]


@st.composite
def plans(draw):
    """Arguments of plan_epoch, with shards or without."""
    count = draw(st.integers(1, 120))
    frames = np.array(draw(st.lists(st.integers(1, 300), min_size=count, max_size=count)), np.int32)
    config = DataConfig(
        batch_frames=draw(st.integers(50, 2000)),
        max_utterances=draw(st.integers(1, 12)),
        shards_per_pool=draw(st.integers(1, 3)),
    )
    shards = None
    if draw(st.booleans()):
        of = np.array(draw(st.lists(st.integers(0, 5), min_size=count, max_size=count)))
        shards = [np.flatnonzero(of == shard) for shard in range(6)]
    return frames, config, draw(st.integers(0, 9)), draw(st.integers(0, 9)), draw(st.sampled_from([1, 2, 4, 6])), shards


@given(plans())
@settings(max_examples=150)
def test_each_utterance_once_under_the_budget_and_equal_ranks(arguments):
    frames, config, seed, epoch, group, shards = arguments
    alone = plan_epoch(frames, config, seed, epoch, 1, shards)
    batches = [batch for step in steps_of(alone) for batch in step]
    assert sorted(index for batch in batches for index in batch) == list(range(len(frames)))
    assert len(batches) == len(alone) == alone.batches
    padded = [len(batch) * frames[batch].max() for batch in batches]
    for batch, size in zip(batches, padded, strict=True):
        assert len(batch) <= config.max_utterances
        assert len(batch) == 1 or size <= config.batch_frames
    largest = [len(batch) * frames[batch].max() for batch in alone.largest]
    assert max(largest) == max(padded) and len(largest) <= 2
    squares = [len(batch) * frames[batch].max() ** 2 for batch in batches]
    assert max(len(batch) * frames[batch].max() ** 2 for batch in alone.largest) == max(squares)

    plan = plan_epoch(frames, config, seed, epoch, group, shards)
    steps = steps_of(plan)
    assert len(steps) == -(-len(batches) // group) and all(len(step) == group for step in steps)
    assert plan.step_frames.tolist() == [sum(int(frames[batch].sum()) for batch in step) for step in steps]
    by_lane = [step[lane] for lane in range(group) for step in steps]
    assert by_lane[: len(batches)] == batches, "what is planned does not depend on the group"
    assert all(batch in batches for batch in by_lane)
    for ranks in {1, 2, group}:
        if group % ranks == 0:
            parts = [steps_of(plan, rank=rank, ranks=ranks) for rank in range(ranks)]
            assert [sum(step, []) for step in zip(*parts, strict=True)] == steps


@given(plans(), st.integers(0, 100))
@settings(max_examples=60)
def test_it_is_pure_and_goes_on_from_any_step(arguments, start):
    plan = plan_epoch(*arguments)
    start %= len(plan)
    keys = [(epoch, indices.tolist()) for epoch, indices in plan.walk()]
    again = plan_epoch(*arguments)
    assert [(epoch, indices.tolist()) for epoch, indices in again.walk(start)] == keys[start * plan.group :]
    assert {epoch for epoch, _ in keys} == {arguments[3]}


def test_seeds_and_epochs_differ():
    def plan(seed, epoch):
        return steps_of(plan_epoch(LENGTHS, CONFIG, seed, epoch))

    assert plan(1, 2) == plan(1, 2)
    assert plan(1, 2) != plan(1, 3)
    assert plan(1, 2) != plan(2, 2)


def test_padding_is_small():
    plan = plan_epoch(LENGTHS, CONFIG, 1, 0)
    padded = sum(len(batch) * LENGTHS[batch].max() for step in steps_of(plan) for batch in step)
    assert padded < 1.2 * LENGTHS.sum()


def test_reads_stay_within_the_shards_of_a_pool():
    shards = [np.arange(start, start + 50) for start in range(0, 500, 50)]
    plan = plan_epoch(LENGTHS, DataConfig(batch_frames=3000, shards_per_pool=2), 1, 0, 2, shards)
    for lane in range(2):
        walked = [int(index) // 50 for step in range(len(plan)) for index in plan.batches_of(step)[lane]]
        visits = [shard for place, shard in enumerate(walked) if shard not in walked[max(0, place - 200) : place]]
        assert len(visits) == len(set(walked)), "a shard that was left is not come back to"
    assert len(plan._pools) <= 2, "plans of the pools in use are in memory, and no others"


def test_decoding_order_is_longest_first():
    batches = plan_batches(LENGTHS, 6000, 40)
    assert sorted(index for batch in batches for index in batch) == list(range(500))
    longest = [LENGTHS[batch].max() for batch in batches]
    assert longest == sorted(longest, reverse=True)
    assert all(len(batch) <= 40 and len(batch) * LENGTHS[batch].max() <= 6000 for batch in batches)


def test_an_utterance_above_the_budget_stands_alone():
    assert as_lists(plan_batches([10, 5000, 12], 100, 40)) == [[1], [2, 0]]
    assert plan_batches([], 100, 40) == []
    assert len(plan_epoch(np.empty(0, np.int32), CONFIG, 1, 0)) == 0


def test_the_largest_batches_are_that_of_most_frames_and_that_of_most_attention():
    frames = np.array([10] * 90 + [800], np.int32)
    plan = plan_epoch(frames, DataConfig(batch_frames=900), 1, 0)
    assert sorted(len(batch) for batch in plan.largest) == [1, 90]
    assert [len(batch) for batch in plan_epoch(frames[:90], DataConfig(batch_frames=900), 1, 0).largest] == [90]
    shards = [np.arange(0, 90), np.array([90])]
    plan = plan_epoch(frames, DataConfig(batch_frames=900, shards_per_pool=1), 1, 0, 1, shards)
    assert sorted(len(batch) for batch in plan.largest) == [1, 90]


HALVES = np.array([0, 200, 500])


def seen(plan: EpochPlan) -> np.ndarray:
    """How often each utterance is in the batches of a plan, before the last step is filled up."""
    batches = [batch for step in range(plan.batches) for batch in plan.batches_of(step)]
    numbers = np.concatenate(batches)
    assert len(set(numbers.tolist())) == len(numbers), "a number stands for one time in the epoch"
    return np.bincount(numbers % 500, minlength=500)


def test_weights_of_one_change_nothing():
    for shards in (None, [np.arange(start, start + 50) for start in range(0, 500, 50)]):
        plain = steps_of(plan_epoch(LENGTHS, CONFIG, 1, 3, 2, shards))
        assert steps_of(plan_epoch(LENGTHS, CONFIG, 1, 3, 2, shards, Weights(HALVES, (1.0, 1.0)))) == plain


def test_weights_repeat_and_draw_anew_in_each_epoch():
    weights = Weights(HALVES, (2.5, 0.5))
    first = plan_epoch(LENGTHS, CONFIG, 1, 0, weights=weights)
    assert first.step_frames.sum() == sum(LENGTHS[batch % 500].sum() for _, batch in first.walk())
    counts = [seen(plan_epoch(LENGTHS, CONFIG, 1, epoch, weights=weights)) for epoch in range(2)]
    for count in counts:
        assert set(count[:200]) == {2, 3} and count[:200].sum() == 500
        assert set(count[200:]) == {0, 1} and count[200:].sum() == 150
    assert (counts[0] != counts[1]).any()
    assert (counts[0] == seen(plan_epoch(LENGTHS, CONFIG, 1, 0, weights=weights))).all()


def test_weights_hold_on_average_in_pools_and_plans_go_on_from_any_step():
    shards = [np.arange(shard, 500, 100) for shard in range(100)]  # of five utterances each, of both ranges
    config = DataConfig(batch_frames=3000, shards_per_pool=1)
    weights = Weights(HALVES, (1.0, 0.3))
    total = np.zeros(500)
    for epoch in range(20):
        plan = plan_epoch(LENGTHS, config, 1, epoch, 1, shards, weights)
        total += seen(plan)
    assert (total[:200] == 20).all()
    assert abs(total[200:].mean() / 20 - 0.3) < 0.02
    plan, again = (plan_epoch(LENGTHS, config, 1, 7, 4, shards, weights) for _ in range(2))
    keys = [indices.tolist() for _, indices in plan.walk()]
    assert [indices.tolist() for _, indices in again.walk(5)] == keys[5 * 4 :]
