"""The alignment against sclite itself, against counts that sclite gave, and against a plain table in Python."""

import random
import re
import shutil
import subprocess

import pytest

from omni_asr.kaldi.trn import write_trn
from omni_asr.scoring import align as align_module
from omni_asr.scoring.align import Counts, align, align_all, pairs

SCLITE = shutil.which("sclite") or shutil.which("sclite", path="/usr/lib/sctk/bin")

# (reference, hypothesis, C S D I as sclite 2.4.10 counts them, letters)
STORED = [
    ("p q r A B", "A B s t u", (2, 0, 3, 3), "DDDCCIII"),
    ("the red kettle boiled over", "the Red cattle boiled really over now", (4, 1, 0, 2), "CCSCICI"),
    ("i've seen it", "", (0, 0, 3, 0), "DDD"),
    ("", "uh", (0, 0, 0, 1), "I"),
    ("", "", (0, 0, 0, 0), ""),
    ("a b c", "a c", (2, 0, 1, 0), "CDC"),
    ("ÉTÉ Über", "été Über", (1, 1, 0, 0), "SC"),
]


def random_pairs(number, seed):
    """Pairs over small alphabets, where ties abound, of lengths 0 to 12."""
    source = random.Random(seed)
    for _ in range(number):
        alphabet = "aBcdef"[: source.randint(1, 6)]
        reference, hypothesis = (
            [source.choice([str.lower, str.upper])(source.choice(alphabet)) for _ in range(source.randint(0, 12))]
            for _ in range(2)
        )
        yield reference, hypothesis


def plain_align(reference, hypothesis):
    """The same rules with costs 4, 3 and 3, written out cell by cell."""
    cost = [[3 * (i + j) for j in range(len(hypothesis) + 1)] for i in range(len(reference) + 1)]
    for i, r in enumerate(reference, 1):
        for j, h in enumerate(hypothesis, 1):
            diagonal = cost[i - 1][j - 1] + 4 * (r.lower() != h.lower())
            cost[i][j] = min(diagonal, cost[i - 1][j] + 3, cost[i][j - 1] + 3)
    i, j, letters = len(reference), len(hypothesis), ""
    while i or j:
        equal = bool(i and j) and reference[i - 1].lower() == hypothesis[j - 1].lower()
        if i and j and cost[i][j] == cost[i - 1][j - 1] + 4 * (not equal):
            letters, i, j = ("C" if equal else "S") + letters, i - 1, j - 1
        elif j and cost[i][j] == cost[i][j - 1] + 3:
            letters, j = "I" + letters, j - 1
        else:
            letters, i = "D" + letters, i - 1
    return letters


@pytest.mark.parametrize(("reference", "hypothesis", "counts", "letters"), STORED)
def test_stored_counts(reference, hypothesis, counts, letters):
    found = align(reference.split(), hypothesis.split())
    assert found == letters
    assert Counts.of(found) == Counts(*counts)


@pytest.mark.skipif(SCLITE is None, reason="sclite is not installed (Debian: apt-get install sctk)")
def test_equal_to_sclite(tmp_path):
    sample = list(random_pairs(5000, seed=1))
    for side, name in enumerate(["ref.trn", "hyp.trn"]):
        write_trn(tmp_path / name, ((f"s-{index}", pair[side]) for index, pair in enumerate(sample)))
    command = [SCLITE, "-r", "ref.trn", "trn", "-h", "hyp.trn", "trn", "-i", "rm", "-o", "pralign", "stdout"]
    output = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    block = r"^id: \(s-(\d+)\)\nScores: .*?\) (\d+) (\d+) (\d+) (\d+)\n(?:REF:  (.*)\nHYP:  (.*)\n)?"
    scores = re.findall(block, output, re.MULTILINE)
    assert len(scores) == len(sample)
    letters = align_all([pair[0] for pair in sample], [pair[1] for pair in sample])
    for index, *counts, reference_row, hypothesis_row in scores:
        found, (reference, hypothesis) = letters[int(index)], sample[int(index)]
        assert Counts.of(found) == Counts(*map(int, counts)), sample[int(index)]
        rows = [(r or "*", h or "*") for _, r, h in pairs(reference, hypothesis, found)]
        assert [(r.lower(), h.lower()) for r, h in rows] == list(
            zip(reference_row.lower().split(), hypothesis_row.lower().split(), strict=True)
        )


def test_equal_to_the_plain_table_whatever_the_batch(monkeypatch):
    sample = list(random_pairs(1500, seed=2))
    references, hypotheses = map(list, zip(*sample, strict=True))
    expected = [plain_align(reference, hypothesis) for reference, hypothesis in sample]
    for cells in (1, 700, 4_000_000):
        monkeypatch.setattr(align_module, "CELLS_PER_BATCH", cells)
        assert align_all(references, hypotheses) == expected


def test_long_utterances_take_wider_numbers(monkeypatch):
    sample = list(random_pairs(50, seed=3))
    references, hypotheses = map(list, zip(*sample, strict=True))
    narrow = align_all(references, hypotheses)
    monkeypatch.setattr(align_module, "LONGEST_INT16", 0)
    assert align_module._fill(*(align_module._pad([[1, 2]], -1) for _ in range(2))).dtype.itemsize == 4
    assert align_all(references, hypotheses) == narrow


def test_counts():
    total = Counts.of("CCSDI") + Counts(correct=5)
    assert (total.words, total.errors, total.percent) == (9, 3, pytest.approx(100 / 3))
    assert Counts().percent == 0.0
    assert Counts(insertions=2).percent == float("inf")


def test_pairs_walk_both_sides():
    assert list(pairs(["a", "b"], ["b", "c"], "DCI")) == [("D", "a", None), ("C", "b", "b"), ("I", None, "c")]


def test_lists_of_different_length_are_refused():
    with pytest.raises(ValueError, match="zip"):
        align_all([["a"]], [])
