"""Statistics of routing decisions, added up batch by batch: what grows with the data is never kept.

Valid frames only. The load counts all choices of a frame; everything else looks at the first.

Shapes: N frames, L MoE layers, E experts of a layer, A experts of all layers side by side, V units, S speakers.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MOST_PATHS = 1_000_000
"""Different paths that are told apart; frames on later ones are counted together."""
MOST_NAMES = 100_000
"""Speakers that are told apart; later ones are left out."""
MOST_TOKENS = 40
"""Units that are listed by name."""


@dataclass
class Decisions:
    """What was decided for the frames of some utterances."""

    expert_LN: Ints
    """Chosen expert of each layer."""
    load_A: Ints
    """Choices of each expert of every layer, side by side: all K of a frame."""
    entropy_L: Floats
    """Sum over the frames of the entropy of the router's probabilities, in bits."""
    lengths_B: Ints
    """Frames of each utterance; they sum to N."""
    speakers: Sequence[str | None]
    """Speaker of each utterance; None where it is not known."""
    label_N: Ints
    """Best unit of each frame by the model's own output; 0 is the blank."""


class RoutingStatistics:
    """Counts over any number of :class:`Decisions`; :meth:`result` is what ``routing.json`` holds.

    Args:
        groups: number of the layer group of each layer.
        experts: number of experts of each layer.
        units: names of the output units, the blank first.
        frame_seconds: length of an encoder frame.
    """

    def __init__(
        self, groups: Sequence[int], experts: Sequence[int], units: Sequence[str], frame_seconds: float
    ) -> None:
        self.groups, self.experts, self.units, self.frame_seconds = groups, experts, units, frame_seconds
        self.first_L = np.concatenate([[0], np.cumsum(experts)]).astype(np.int64)
        A = int(self.first_L[-1])
        self.frames = self.utterances = 0
        self.joint_AA = np.zeros((A, A), np.int64)
        self.load_A = np.zeros(A, np.int64)
        self.label_VA, self.control_VA = np.zeros((2, len(units), A), np.int64)
        self.set_A: dict[str, Ints] = {}
        self.speaker_A: dict[str, Ints] = {}
        self.speaker_control_A: dict[str, Ints] = {}
        self.entropy_L = np.zeros(len(experts))
        self.changes_L, self.shuffled_changes_L = np.zeros((2, len(experts)), np.int64)
        self.paths: Counter[bytes] = Counter()
        self.other_paths = 0
        self._random = np.random.default_rng(0)

    def add(self, decisions: Decisions, set_name: str) -> None:
        """Count the frames of a batch, which belong to the test set ``set_name``."""
        expert_LN, lengths_B = decisions.expert_LN, decisions.lengths_B
        L, N = expert_LN.shape
        cell_LN = expert_LN + self.first_L[:L, None]
        chosen_NA = np.zeros((N, len(self.joint_AA)), np.float32)
        chosen_NA[np.arange(N)[None], cell_LN] = 1
        self.joint_AA += np.rint(chosen_NA.T @ chosen_NA).astype(np.int64)
        utterance_N = np.repeat(np.arange(len(lengths_B)), lengths_B)
        self.load_A += decisions.load_A
        _count(self.set_A, [set_name] * len(lengths_B), chosen_NA, lengths_B)
        # The control pairs a frame with the decision of one half a batch away: same loads, same runs, no relation.
        far_N = np.roll(np.arange(N), N // 2)
        _count(self.speaker_A, decisions.speakers, chosen_NA, lengths_B)
        _count(self.speaker_control_A, decisions.speakers, chosen_NA[far_N], lengths_B)
        for cell_N in cell_LN:
            np.add.at(self.label_VA, (decisions.label_N, cell_N), 1)
            np.add.at(self.control_VA, (decisions.label_N, cell_N[far_N]), 1)
        self.changes_L += _changes(expert_LN, utterance_N)
        shuffled_N = np.lexsort(np.stack([self._random.random(N), utterance_N.astype(float)]))
        self.shuffled_changes_L += _changes(expert_LN[:, shuffled_N], utterance_N)
        self.entropy_L += decisions.entropy_L
        self._count_paths(expert_LN)
        self.frames += N
        self.utterances += len(lengths_B)

    def _count_paths(self, expert_LN: Ints) -> None:
        paths, counts = np.unique(expert_LN.T.astype(np.uint16), axis=0, return_counts=True)
        for path, count in zip(paths, counts.tolist(), strict=True):
            key = path.tobytes()
            if key in self.paths or len(self.paths) < MOST_PATHS:
                self.paths[key] += count
            else:
                self.other_paths += count

    def result(self) -> dict[str, Any]:
        """All statistics as plain numbers and lists."""
        return {
            "frames": self.frames,
            "frame_seconds": self.frame_seconds,
            "layers": [{"group": g, "experts": e} for g, e in zip(self.groups, self.experts, strict=True)],
            "agreement": self._agreement(),
            "load": self._load(),
            "time": self._time(),
            "paths": self._paths(),
            "specialisation": self._specialisation(),
        }

    def _layers(self, table: Ints) -> list[Ints]:
        """Cut the last axis, A, into layers."""
        return np.split(table, self.first_L[1:-1], axis=-1)

    def _agreement(self) -> dict[str, Any]:
        L = len(self.experts)
        tables = [self._layers(rows) for rows in np.split(self.joint_AA, self.first_L[1:-1], axis=0)]
        kinds = {"raw": raw_agreement, "matched": matched_agreement, "nmi": normalised_information}
        matrices = {name: [[kind(tables[a][b]) for b in range(L)] for a in range(L)] for name, kind in kinds.items()}
        pairs = [(a, b) for a in range(L) for b in range(a) if self.groups[a] == self.groups[b]]
        means = {
            name: sum(matrix[a][b] or 0.0 for a, b in pairs) / len(pairs) if pairs else None
            for name, matrix in matrices.items()
        }
        first = self._layers(np.diagonal(self.joint_AA))
        chance = [np.outer(first[a], first[b]) for a, b in pairs]
        by_chance = {name: kinds[name] for name in ("raw", "matched")}
        means_by_chance = {
            name: sum(kind(table) or 0.0 for table in chance) / len(pairs) if pairs else None
            for name, kind in by_chance.items()
        }
        return {**matrices, "mean": means, "chance": means_by_chance}

    def _load(self) -> dict[str, Any]:
        counts = self._layers(self.load_A)
        shares = [count / max(1, count.sum()) for count in counts]
        return {
            "share": [share.tolist() for share in shares],
            "max_over_mean": [float(share.max() * len(share)) for share in shares],
            "cv": [float(share.std() / max(share.mean(), 1e-300)) for share in shares],
            "dead": [np.flatnonzero(count == 0).tolist() for count in counts],
            "usage_entropy": [entropy_bits(count) for count in counts],
            "frame_entropy": (self.entropy_L / max(1, self.frames)).tolist(),
        }

    def _time(self) -> dict[str, Any]:
        seconds = max(1, self.frames) * self.frame_seconds

        def run_ms(changes_L: Ints) -> list[float]:
            return (1000 * seconds / np.maximum(1, changes_L + self.utterances)).tolist()

        return {
            "run_ms": run_ms(self.changes_L),
            "shuffled_run_ms": run_ms(self.shuffled_changes_L),
            "switches_per_s": (self.changes_L / seconds).tolist(),
            "shuffled_switches_per_s": (self.shuffled_changes_L / seconds).tolist(),
        }

    def _paths(self) -> dict[str, Any]:
        counts = np.array(sorted(self.paths.values(), reverse=True), np.int64)
        covered = np.cumsum(counts) / max(1, self.frames)
        told_apart = float(covered[-1]) if len(covered) else 0.0
        cover = {share: int(np.searchsorted(covered, share - 1e-12)) + 1 for share in (0.5, 0.9) if told_apart >= share}
        return {
            "distinct": len(counts),
            "cover_50": cover.get(0.5),
            "cover_90": cover.get(0.9),
            "entropy_bits": entropy_bits(counts) if self.other_paths == 0 else None,
            "possible": math.prod(self.experts),
            "complete": self.other_paths == 0,
        }

    def _specialisation(self) -> dict[str, Any]:
        by_count = np.argsort(-self.label_VA[:, : self.experts[0]].sum(1), kind="stable")
        spoken = [int(v) for v in by_count if v != 0 and self.label_VA[v].any()][:MOST_TOKENS]
        blank_2A = np.stack([self.label_VA[0], self.label_VA[1:].sum(0)])
        set_SA = np.stack(list(self.set_A.values()))
        return {
            "sets": {"names": list(self.set_A), "share": self._shares(set_SA)},
            "blank": {"names": ["blank", "spoken"], "share": self._shares(blank_2A)},
            "tokens": {
                "names": [self.units[v] for v in spoken],
                "share": self._shares(self.label_VA[spoken]),
                "mi_bits": self._information(self.label_VA),
                "control_bits": self._information(self.control_VA),
            },
            "speakers": {
                "number": len(self.speaker_A),
                "mi_bits": self._information(_stack(self.speaker_A, len(self.joint_AA))),
                "control_bits": self._information(_stack(self.speaker_control_A, len(self.joint_AA))),
            },
        }

    def _information(self, table_XA: Ints) -> list[float]:
        """Mutual information of each layer's choice and the rows of a table."""
        return [information_bits(table) for table in self._layers(table_XA)]

    def _shares(self, table: Ints) -> list[list[list[float]]]:
        """[layer][row][expert]: where the frames of each row go."""
        return [(part / np.maximum(1, part.sum(1, keepdims=True))).tolist() for part in self._layers(table)]


def _stack(table: dict[str, Ints], width: int) -> Ints:
    return np.stack(list(table.values())) if table else np.zeros((1, width), np.int64)


def _count(
    table: dict[str, Ints], names: Sequence[str | None], chosen_NA: npt.NDArray[np.float32], lengths_B: Ints
) -> None:
    stops = np.cumsum(lengths_B)
    for name, start, stop in zip(names, stops - lengths_B, stops, strict=True):
        if name is None or (name not in table and len(table) >= MOST_NAMES):
            continue
        used_A = chosen_NA[start:stop].sum(0, dtype=np.float64).astype(np.int64)
        table[name] = table[name] + used_A if name in table else used_A


def _changes(expert_LN: Ints, utterance_N: Ints) -> Ints:
    """How often each layer changes its expert from a frame to the next of the same utterance."""
    within_N = utterance_N[1:] == utterance_N[:-1]
    return ((expert_LN[:, 1:] != expert_LN[:, :-1]) & within_N).sum(1)


def entropy_bits(counts: npt.ArrayLike) -> float:
    """Entropy of a distribution given by counts."""
    share = np.asarray(counts, float)
    share = share[share > 0] / max(1e-300, float(share.sum()))
    return float(-(share * np.log2(share)).sum()) + 0.0


def information_bits(table_XE: npt.ArrayLike) -> float:
    """Mutual information of rows and columns of a table of counts."""
    counts = np.asarray(table_XE, float)
    information = entropy_bits(counts.sum(0)) + entropy_bits(counts.sum(1)) - entropy_bits(counts)
    return max(0.0, information)


def normalised_information(table_EE: Ints) -> float:
    """Mutual information by the mean of both entropies; 0 where neither layer says anything.

    It does not change when experts are renamed: 1 if each layer's choice tells the other's, 0 if they are independent.
    """
    mean = (entropy_bits(table_EE.sum(0)) + entropy_bits(table_EE.sum(1))) / 2
    return information_bits(table_EE) / mean if mean > 0 else 0.0


def raw_agreement(table_EE: Ints) -> float | None:
    """Share of the frames for which both layers name the same expert; None for unequal numbers of experts."""
    if table_EE.shape[0] != table_EE.shape[1]:
        return None
    return float(np.trace(table_EE) / max(1, table_EE.sum()))


def matched_agreement(table_EE: Ints) -> float:
    """Agreement after the best one-to-one renaming of the experts of one layer."""
    row_e, column_e = best_matching(table_EE)
    return float(table_EE[row_e, column_e].sum() / max(1, table_EE.sum()))


def best_matching(weight_RC: npt.ArrayLike) -> tuple[Ints, Ints]:
    """Rows and columns of the one-to-one matching with the largest total weight (Kuhn 1955; potentials, O(n^3))."""
    weight = np.asarray(weight_RC, float)
    if weight.shape[0] > weight.shape[1]:
        column_e, row_e = best_matching(weight.T)
        return row_e, column_e
    cost = weight.max() - weight
    rows, columns = cost.shape
    row_price, column_price = np.zeros(rows + 1), np.zeros(columns + 1)
    partner = np.zeros(columns + 1, np.int64)  # row of each column, counted from 1; column 0 holds the row to place
    for row in range(1, rows + 1):
        partner[0], column = row, 0
        slack, came_from = np.full(columns + 1, np.inf), np.zeros(columns + 1, np.int64)
        visited = np.zeros(columns + 1, bool)
        while partner[column]:
            visited[column] = True
            here = partner[column]
            reduced = np.append(np.inf, cost[here - 1] - row_price[here] - column_price[1:])
            closer = ~visited & (reduced < slack)
            slack[closer], came_from[closer] = reduced[closer], column
            nearest = int(np.argmin(np.where(visited, np.inf, slack)))
            step = slack[nearest]
            row_price[partner[visited]] += step
            column_price[visited] -= step
            slack[~visited] -= step
            column = nearest
        while column:
            partner[column], column = partner[came_from[column]], came_from[column]
    column_e = np.flatnonzero(partner[1:])
    return partner[1:][column_e] - 1, column_e
