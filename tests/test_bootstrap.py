"""Intervals of error rates: against all samples there are, a plain loop, and what they promise."""

import itertools
import time

import numpy as np
import pytest

from omni_asr.scoring import bootstrap
from omni_asr.scoring.bootstrap import Interval, interval, interval_line, percentiles, read_interval
from omni_asr.scoring.sclite import Utterance, by_speaker


def utterances(*letters):
    """Utterances as ``speaker:letters``."""
    split = [one.split(":") for one in letters]
    return [Utterance(f"u{i}", s, ["w"] * len(o.replace("I", "")), [], o) for i, (s, o) in enumerate(split)]


def rate(blocks):
    errors, words = np.sum(blocks, axis=0)
    return 100 * errors / words


def test_against_every_sample_there_is():
    blocks = np.array([[0, 5], [1, 7], [3, 9], [0, 5], [8, 20], [2, 2]])
    rates = np.sort([rate(blocks[list(drawn)]) for drawn in itertools.product(range(6), repeat=6)])
    low, high = percentiles(blocks)
    assert abs(np.mean(rates < low) - 0.025) < 0.006 and abs(np.mean(rates > high) - 0.025) < 0.006


def test_against_a_plain_loop():
    source = np.random.default_rng(7)
    words = source.integers(1, 30, 400)
    blocks = np.stack([source.binomial(words, 0.1), words], axis=1)
    rates = [rate(blocks[source.integers(0, len(blocks), len(blocks))]) for _ in range(10_000)]
    assert percentiles(blocks) == pytest.approx(np.percentile(rates, [2.5, 97.5]), abs=0.05)


def test_same_counts_drawn_the_same_rates_equal_the_loop():
    """Every replication, not only their percentiles: the counts drawn are spelt out as blocks and added one by one."""
    blocks = np.array([[0, 5], [1, 7], [3, 9], [0, 5], [2, 2], [1, 0]])
    kinds, times = np.unique(blocks, axis=0, return_counts=True)
    drawn = np.random.default_rng(bootstrap.SEED).multinomial(6, times / 6, size=200)
    naive = sorted(rate([kinds[k] for k, count in enumerate(one) for _ in range(count)]) for one in drawn)
    assert percentiles(blocks, replications=200) == (naive[4], naive[194])  # the 5th and the 195th of 200


def test_it_covers_what_it_should():
    source, covered, trials = np.random.default_rng(3), 0, 300
    for trial in range(trials):  # 40 speakers of their own skill, 100 words each; 15 % on average
        blocks = np.stack([source.binomial(100, source.beta(3, 17, 40)), np.full(40, 100)], axis=1)
        low, high = percentiles(blocks, trial)
        covered += low <= 15 <= high
    assert 0.90 <= covered / trials <= 0.98


def test_blocks_are_speakers_where_there_are_several(tmp_path):
    made = utterances("a:SSCC", "a:SCCC", "b:CCCC", "b:CCCI", "c:CCCC")
    found = interval(made)
    assert (found.blocks, found.unit) == (3, "speakers") and 0 <= found.low < 25 < found.high
    assert found == interval(made), "the seed is fixed"
    path = tmp_path / "ci"
    path.write_text(interval_line("part", by_speaker(made)[1].counts, None))
    assert read_interval(path) is None and read_interval(tmp_path / "none") is None
    path.write_text(path.read_text() + interval_line("all", by_speaker(made)[1].counts, found))
    assert read_interval(path) == Interval(round(found.low, 2), round(found.high, 2), 3, "speakers")
    alone = [Utterance(u.id, "a", u.reference, u.hypothesis, u.operations) for u in made]
    assert (interval(alone).blocks, interval(alone).unit) == (5, "utterances")


@pytest.mark.parametrize("letters", [[], ["a:CS"], ["a:", "a:I"]])
def test_without_blocks_or_words_there_is_none(letters):
    assert interval(utterances(*letters)) is None


def test_samples_without_words():
    assert interval(utterances("a:C", "a:I")).high == float("inf"), "a sample of the second utterance alone"
    assert interval(utterances("a:C", "a:")) == Interval(0.0, 0.0, 2, "utterances")


def test_twenty_thousand_utterances_are_fast():
    source = np.random.default_rng(0)
    words = source.poisson(22, 20_000) + 1
    blocks = np.stack([source.binomial(words, 0.08), words], axis=1)
    start = time.process_time()
    percentiles(blocks)
    assert time.process_time() - start < 2, "about 0.3 s"
