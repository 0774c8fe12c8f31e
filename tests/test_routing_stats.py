"""Each statistic on a constructed routing whose answer is known."""

import itertools

import numpy as np
import pytest

from omni_asr.analysis.routing_stats import (
    Decisions,
    RoutingStatistics,
    best_matching,
    entropy_bits,
    information_bits,
    matched_agreement,
    normalised_information,
    raw_agreement,
)

RNG = np.random.default_rng(1)
UNITS = ["<blank>", "a", "b", "c"]


def statistics(expert_LN, lengths=None, labels=None, speakers=None, experts=None, groups=None, names=("test",)):
    """Statistics of one batch per set."""
    expert_LN = np.asarray(expert_LN)
    L, N = expert_LN.shape
    lengths_B = np.array(lengths or [N])
    counted = RoutingStatistics(groups or [0] * L, experts or [4] * L, UNITS, frame_seconds=0.04)
    for name in names:
        label_N = np.zeros(N, int) if labels is None else np.asarray(labels)
        people = speakers or ["spk"] * len(lengths_B)
        load_A = np.concatenate(
            [np.bincount(row, minlength=count) for row, count in zip(expert_LN, experts or [4] * L, strict=True)]
        )
        counted.add(Decisions(expert_LN, load_A, np.full(L, 0.5 * N), lengths_B, people, label_N), name)
    return counted.result()


def test_identical_layers_agree_fully():
    expert_N = RNG.integers(4, size=5000)
    agreement = statistics([expert_N, expert_N])["agreement"]
    for kind in ("raw", "matched", "nmi"):
        assert np.allclose(agreement[kind], 1) and agreement["mean"][kind] == pytest.approx(1)


def test_permuted_labels_agree_only_once_matched():
    expert_N = RNG.integers(4, size=5000)
    agreement = statistics([expert_N, (expert_N + 1) % 4])["agreement"]
    assert agreement["mean"]["raw"] == 0
    assert agreement["mean"]["matched"] == 1 and agreement["mean"]["nmi"] == pytest.approx(1)


def test_independent_layers_agree_by_chance():
    agreement = statistics(RNG.integers(4, size=(3, 60000)))["agreement"]
    assert agreement["mean"]["raw"] == pytest.approx(0.25, abs=0.01)
    assert agreement["mean"]["matched"] == pytest.approx(0.25, abs=0.015)
    assert agreement["mean"]["nmi"] < 0.001


def test_a_constant_expert_says_nothing():
    result = statistics([np.zeros(100, int), RNG.integers(4, size=100)])
    assert result["agreement"]["nmi"][0] == [0, 0]
    assert result["load"]["share"][0] == [1, 0, 0, 0] and result["load"]["dead"][0] == [1, 2, 3]
    assert result["load"]["max_over_mean"][0] == 4 and result["load"]["usage_entropy"][0] == 0
    assert result["time"]["run_ms"][0] == 4000 and result["time"]["switches_per_s"][0] == 0


def test_layers_with_unequal_experts_and_groups():
    few, many = RNG.integers(2, size=1000), RNG.integers(4, size=1000)
    agreement = statistics([few, many, many], experts=[2, 4, 4], groups=[0, 1, 1])["agreement"]
    assert agreement["raw"][0][1] is None and agreement["raw"][1][2] == 1
    assert agreement["mean"] == {"raw": 1, "matched": 1, "nmi": pytest.approx(1)}, "pairs within a group only"
    assert statistics([few], experts=[2])["agreement"]["mean"]["nmi"] is None


def test_load_by_hand():
    result = statistics([[0, 0, 0, 1, 1, 2, 2, 2]])["load"]
    assert result["share"][0] == [0.375, 0.25, 0.375, 0]
    assert result["max_over_mean"][0] == 1.5 and result["dead"][0] == [3]
    assert result["cv"][0] == pytest.approx(np.std([3, 2, 3, 0]) / 2)
    assert result["usage_entropy"][0] == pytest.approx(entropy_bits([3, 2, 3])) and result["frame_entropy"][0] == 0.5


def test_runs_end_with_the_utterance():
    time = statistics([[0, 0, 1, 1, 1, 1, 2, 2]], lengths=[4, 4])["time"]
    assert time["run_ms"][0] == pytest.approx(8 * 40 / 4)  # 00 11 | 11 22
    assert time["switches_per_s"][0] == pytest.approx(2 / (8 * 0.04))


def test_order_in_time_is_seen_against_the_shuffled_control():
    ordered = np.repeat(RNG.integers(4, size=500), 10)
    shuffled = RNG.permutation(ordered)
    time = statistics([ordered, shuffled])["time"]
    assert time["run_ms"][0] > 8 * time["shuffled_run_ms"][0]
    assert time["run_ms"][1] == pytest.approx(time["shuffled_run_ms"][1], rel=0.1)
    assert time["shuffled_run_ms"][1] == pytest.approx(40 / 0.75, rel=0.1)


def test_paths_by_hand():
    first, second = [0] * 6 + [1] * 3 + [2], [3] * 6 + [1] * 3 + [2]
    paths = statistics([first, second])["paths"]
    assert paths == {
        "distinct": 3, "cover_50": 1, "cover_90": 2, "entropy_bits": pytest.approx(entropy_bits([6, 3, 1])),
        "possible": 16, "complete": True,
    }  # fmt: skip


def test_paths_beyond_the_bound_are_counted_together(monkeypatch):
    monkeypatch.setattr("omni_asr.analysis.routing_stats.MOST_PATHS", 2)
    paths = statistics([[0, 0, 1, 2, 3, 0]])["paths"]
    assert paths == {
        "distinct": 2, "cover_50": 1, "cover_90": None, "entropy_bits": None, "possible": 4, "complete": False,
    }  # fmt: skip


def test_specialisation_by_token_blank_speaker_and_set():
    label_N = np.tile([0, 1, 2, 3], 100)
    result = statistics(
        [label_N, RNG.permutation(label_N)],
        lengths=[200, 200],
        labels=label_N,
        speakers=["x", "y"],
        names=("one", "two"),
    )["specialisation"]
    assert result["tokens"]["names"] == ["a", "b", "c"]
    assert result["tokens"]["share"][0] == [[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert result["tokens"]["mi_bits"] == [pytest.approx(2), pytest.approx(0, abs=0.05)]
    assert result["blank"]["share"][0] == [
        [1, 0, 0, 0],
        [0, pytest.approx(1 / 3), pytest.approx(1 / 3), pytest.approx(1 / 3)],
    ]
    assert result["speakers"]["number"] == 2 and result["speakers"]["mi_bits"][0] == pytest.approx(0, abs=1e-9)
    assert result["sets"]["names"] == ["one", "two"]
    assert result["sets"]["share"][0][0] == result["sets"]["share"][0][1] == [0.25] * 4


def test_what_chance_would_give_is_told():
    """Independent layers of uneven load agree more than 1 / E, and their tables share bits by accident."""
    uneven = RNG.choice(4, p=[0.6, 0.2, 0.1, 0.1], size=(2, 20000))
    label_N = np.repeat(RNG.integers(0, 4, size=2000), 10)
    result = statistics(uneven, labels=label_N)
    for name in ("raw", "matched"):
        assert result["agreement"]["chance"][name] == pytest.approx(result["agreement"]["mean"][name], abs=0.02)
    assert result["agreement"]["chance"]["matched"] > 0.4
    tokens = statistics([label_N], labels=label_N)["specialisation"]["tokens"]
    assert tokens["mi_bits"][0] > 1.9 and tokens["control_bits"][0] < 0.02


def test_speakers_that_are_not_known_are_left_out():
    result = statistics([[0, 1, 2, 3]], lengths=[2, 2], speakers=["x", None])["specialisation"]["speakers"]
    assert result["number"] == 1
    assert statistics([[0, 1]], speakers=[None])["specialisation"]["speakers"] == {
        "number": 0, "mi_bits": [0.0], "control_bits": [0.0],
    }  # fmt: skip


def test_a_speaker_with_an_expert_of_its_own():
    result = statistics([[0] * 50 + [1] * 50], lengths=[50, 50], speakers=["x", "y"])["specialisation"]
    assert result["speakers"]["mi_bits"] == [pytest.approx(1)]


def test_information_of_tables():
    assert information_bits([[5, 0], [0, 5]]) == pytest.approx(1)
    assert information_bits([[4, 4], [2, 2]]) == pytest.approx(0, abs=1e-12)
    assert normalised_information(np.array([[3, 0, 0], [0, 3, 3]])) == pytest.approx(
        2 * entropy_bits([3, 6]) / (entropy_bits([3, 6]) + entropy_bits([3, 3, 3]))
    )
    assert raw_agreement(np.array([[2, 1], [0, 1]])) == 0.75 and matched_agreement(np.array([[0, 3], [1, 0]])) == 1


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (5, 5), (3, 5), (5, 2)])
def test_matching_against_all_permutations(shape):
    for _ in range(20):
        weight = RNG.integers(0, 10, size=shape)
        rows, columns = best_matching(weight)
        assert len(set(rows)) == len(set(columns)) == min(shape)
        wide = weight if shape[0] <= shape[1] else weight.T
        best = max(
            sum(wide[row, column] for row, column in enumerate(choice))
            for choice in itertools.permutations(range(wide.shape[1]), wide.shape[0])
        )
        assert weight[rows, columns].sum() == best
