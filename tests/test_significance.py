"""The significance tests against NIST's sc_stats and against numbers worked out by hand."""

import math
import random
import re
import shutil
import subprocess
from dataclasses import replace
from itertools import combinations

import pytest

from omni_asr.errors import UserError
from omni_asr.kaldi.trn import write_trn
from omni_asr.scoring.align import align_all
from omni_asr.scoring.markup import align_texts
from omni_asr.scoring.sclite import Utterance
from omni_asr.scoring.segments import HUB
from omni_asr.scoring.significance import matched_pairs, mcnemar, segment_errors, signed_paired, wilcoxon

SCLITE, SC_STATS = (
    shutil.which(name) or shutil.which(name, path="/usr/lib/sctk/bin") for name in ("sclite", "sc_stats")
)
TESTS = {"MP": matched_pairs, "SI": signed_paired, "WI": wilcoxon, "MN": mcnemar}  # as sc_stats abbreviates them
EXACT_TRIALS = 20  # sc_stats approximates binomials of more
TINY = 1e-9


def system(*utterances):
    """A system of which only the letters matter: each utterance as ``speaker:letters``."""
    found = []
    for index, (speaker, letters) in enumerate(utterance.split(":") for utterance in utterances):
        reference, hypothesis = (["w"] * len(letters.replace(gap, "")) for gap in "ID")
        found.append(Utterance(f"u{index}", speaker, reference, hypothesis, letters))
    return found


def perfect(other):
    """The system that makes no errors where the other one does."""
    right = [(utterance, utterance.reference) for utterance in other]
    return [replace(one, hypothesis=words, operations="C" * len(words)) for one, words in right]


def by_speaker(*errors):
    """A system with so many errors in the twenty words of each speaker."""
    return system(*(f"s{index}:{'S' * count}{'C' * (20 - count)}" for index, count in enumerate(errors)))


def sentences(right, wrong, others_wrong):
    """A pair of systems: so many sentences that both get right, that a alone gets wrong, that b alone gets wrong."""
    letters = [("CC", "CC")] * right + [("CS", "CC")] * wrong + [("CC", "CS")] * others_wrong
    return tuple(system(*(f"s:{pair[side]}" for pair in letters)) for side in (0, 1))


@pytest.mark.parametrize(
    ("a", "b", "segments"),
    [
        ("CCCC", "CCCC", []),
        ("CCSCC", "CCCCC", [(1, 0)]),
        ("SCCSC", "CCCCC", [(1, 0), (1, 0)]),
        ("SCSCC", "CCCCC", [(2, 0)]),  # one word does not part them
        ("SCCCC", "CCSCC", [(1, 1)]),  # nor do two that one system alone got right
        ("SCICCS", "CCCCC", [(2, 0), (1, 0)]),  # nor two with an insertion between them
        ("CIICDC", "SCICC", [(3, 2)]),
        ("CCI", "CC", [(1, 0)]),
        ("CC", "CCII", [(0, 2)]),
        ("", "II", [(0, 2)]),
        ("DDD", "CSC", [(3, 1)]),
    ],
)
def test_segments(a, b, segments):
    (one,), (other,) = system(f"s:{a}"), system(f"s:{b}")
    assert segment_errors(one, other) == segments
    assert segment_errors(other, one) == [(errors_b, errors_a) for errors_a, errors_b in segments]


@pytest.mark.parametrize(
    ("reference", "a", "b", "segments"),
    [
        ("{ it's / it is } a test of words", "it is a test of", "it's x test of words", [(0, 1), (1, 0)]),
        ("x { a / b c d } e f", "y b c d e f", "x a e f", [(1, 0)]),  # whatever the branch, one step
        ("x { a / b c d } e f", "y b c z e f", "x a e f", [(2, 0)]),
        ("{ a / @ } { b / a b } c", "a b c x", "b c", [(1, 0)]),
        ("{ { a / b c } d / e } f", "b c d f x", "e f", [(1, 0)]),
        ("a { b / @ } c d", "x b c d", "y c d", [(1, 1)]),
        ("hello there", "hello (uh) there", "hello dare", [(0, 1)]),
        ("a (uh) there b", "(x) a there (y) b", "c uh there b", [(0, 1)]),
        ("cat;x a\\ b* ;t", "cat a x", "cat a b", [(2, 1)]),
    ],
)
def test_places_are_those_of_the_reference_as_it_was_given(reference, a, b, segments):
    one, other = (marked({"s-1": reference}, {"s-1": words})[0] for words in (a, b))
    assert segment_errors(one, other) == segments
    assert segment_errors(other, one) == [(errors_b, errors_a) for errors_a, errors_b in segments]
    assert matched_pairs([one], [other]).pairs == len(segments)


def test_matched_pairs_by_hand():
    a, b = system("s:SCCS", "s:SC", "t:CCI", "t:CC"), system("s:CCCC", "s:CC", "t:CC", "t:SC")
    result = matched_pairs(a, b)  # differences 1, 1, 1, 1, -1: mean 3 / 5, variance (4 * 0.16 + 2.56) / 4
    assert (result.pairs, result.better) == (5, None)
    assert (result.mean, result.deviation) == pytest.approx((0.6, math.sqrt(0.8)))
    assert result.statistic == pytest.approx(1.5)
    assert result.p == pytest.approx(0.1336144)

    a = system("s:SSCC", "s:SC", "t:CCI", "t:CID")
    result = matched_pairs(a, perfect(a))  # 2, 1, 1, 2: mean 3 / 2, variance 1 / 3
    assert (result.statistic, result.better) == (pytest.approx(math.sqrt(27)), "b")
    assert matched_pairs(perfect(a), a).better == "a"
    assert matched_pairs(perfect(a), a).p == pytest.approx(2.0346e-7, rel=1e-3)


def test_nothing_to_test_where_the_difference_is_the_same_everywhere():
    a = system("s:SCC", "s:CS", "s:CD")
    for b in (a, perfect(a)):
        assert (matched_pairs(a, b).statistic, matched_pairs(a, b).p, matched_pairs(a, b).better) == (0, 1, None)
        assert matched_pairs(a, b).deviation == 0 and matched_pairs(a, b).p == 1
    assert matched_pairs(perfect(a), perfect(a)).p == 1
    assert matched_pairs([], []).p == 1


@pytest.mark.parametrize(
    ("a", "b", "p", "better"),
    [
        ((1,) * 6, (0,) * 6, 2 / 64, "b"),
        ((0,) * 5, (1,) * 5, 2 / 32, None),
        ((1,) * 7, (0,) * 6 + (1,), 2 * (1 + 7) / 128, None),  # an odd tie speaks for the worse system
        ((1,) * 8, (0,) * 6 + (1,) * 2, 2 * (1 + 8) / 256, None),
        ((2, 2, 1), (2, 2, 1), 1, None),
        ((1,) * 9 + (0,), (0,) * 9 + (10,), 2 * (1 + 10) / 1024, "a"),  # a is better in the mean
        ((1,) * 16 + (0,) * 14, (0,) * 16 + (1,) * 14, 0.8555, None),  # where sc_stats goes wrong
    ],
)
def test_sign_test_by_hand(a, b, p, better):
    result = signed_paired(by_speaker(*a), by_speaker(*b))
    assert (result.p, result.better, result.pairs) == (pytest.approx(p, abs=1e-4), better, len(a))


@pytest.mark.parametrize(
    ("a", "b", "z", "better"),
    [
        ((1, 2, 3, 4, 5), (0, 0, 0, 0, 0), (0 - 7.5) / math.sqrt(13.75), "b"),
        ((0, 2, 3, 4, 5), (1, 0, 0, 0, 0), (1 - 7.5) / math.sqrt(13.75), None),
        ((3, 3, 3, 3, 3), (3, 3, 3, 3, 3), (6 - 7.5) / math.sqrt(13.75), None),  # ranks 3, three against two
        ((5, 2, 0, 0), (0, 0, 2, 2), (4 - 5) / math.sqrt(7.5), None),  # ranks 4, 2, 2, 2
        ((1,) * 11 + (0,), (0,) * 11 + (20,), (12 - 39) / math.sqrt(162.5), "b"),  # though a is better in the mean
    ],
)
def test_wilcoxon_by_hand(a, b, z, better):
    for result in (wilcoxon(by_speaker(*a), by_speaker(*b)), wilcoxon(by_speaker(*b), by_speaker(*a))):
        assert (result.statistic, result.p) == pytest.approx((z, math.erfc(-z / math.sqrt(2))))
        assert result.better == better
        better = {"b": "a"}.get(better)


def test_mcnemar_by_hand():
    cases = [((3, 1, 7), 18 / 256, None), ((0, 0, 6), 2 / 64, "a"), ((5, 29, 15), 0.0488, "b"), ((9, 4, 4), 1, None)]
    for counts, p, better in cases:
        result = mcnemar(*sentences(*counts))
        assert (result.p, result.better, result.pairs) == (pytest.approx(p, abs=1e-4), better, sum(counts))
        assert result.mean == pytest.approx((counts[1] - counts[2]) / sum(counts))


def test_what_cannot_be_compared_is_named():
    a = system("s:CC", "s:SC")
    for b, complaint in (
        (a[:1], "'u1' is in system a alone"),
        ([*a, replace(a[0], id="u2")], "'u2' is in system b alone"),
        ([*a, a[0]], "'u0' occurs twice in system b"),
        ([a[0], replace(a[1], reference=["v", "w"])], "'u1': its reference differs"),
        ([a[0], replace(a[1], text="{ w / v } w")], "'u1': its reference differs"),
    ):
        with pytest.raises(UserError, match=complaint):
            matched_pairs(a, b)
    with pytest.raises(UserError, match="'u1': speakers 's' and ''"):
        wilcoxon(a, [a[0], replace(a[1], speaker="")])
    assert mcnemar(a, list(reversed(a))) == mcnemar(a, a)


def misheard(source, words, rate):
    """What a recogniser with so many errors might make of the words; some are inserted, often behind the last one."""
    heard = []
    for word in words:
        heard += source.choices("abcdef", k=int(source.random() < rate / 4))
        if source.random() > rate / 3:
            heard.append(source.choice("abcdef") if source.random() < rate else word)
    return heard + source.choices("abcdef", k=source.randint(1, 3) if source.random() < rate else 0)


def random_systems(seed):
    """References, and eight systems: perfect, far apart, close together, alike; one speaker says nothing."""
    source = random.Random(seed)
    speakers = [1, 3, 6, 9, 12, 16, 20, 30][seed % 8]
    lengths = [[0, 1, 2, 3], range(12), range(5, 40)][seed % 3]
    references = {}
    for index in range(source.randint(speakers, 3 * speakers + 40)):
        speaker = source.randrange(speakers)
        references[f"s{speaker}-u{index}"] = source.choices("abcdef", k=0 if speaker == 2 else source.choice(lengths))
    systems = {"perfect": references}
    for name in ("one", "two", "three"):
        rate = source.choice([0.1, 0.2, 0.4])
        systems[name] = {utterance: misheard(source, words, rate) for utterance, words in references.items()}
    for name, origin, changed in (("like_one", "one", 0.1), ("near_one", "one", 0.6), ("like_two", "two", 0.3)):
        systems[name] = {
            utterance: misheard(source, words, 0.15) if source.random() < changed else systems[origin][utterance]
            for utterance, words in references.items()
        }
    return references, systems | {"twin_of_two": systems["two"]}


def aligned(references, hypotheses):
    letters = align_all(list(references.values()), [hypotheses[utterance] for utterance in references])
    return [
        Utterance(utterance, utterance.split("-")[0], words, hypotheses[utterance], found)
        for (utterance, words), found in zip(references.items(), letters, strict=True)
    ]


def marked(references, hypotheses):
    """The same of transcripts with markup."""
    found = align_texts(list(references.values()), [hypotheses[utterance] for utterance in references], HUB)
    return [
        Utterance(name, name.split("-")[0], one.reference, one.hypothesis, one.operations, text=text)
        for (name, text), one in zip(references.items(), found, strict=True)
    ]


def with_alternations(references, seed):
    """References as text, some words of which are alternations and optional words: of one length, so that sc_stats
    keeps its place.
    """
    source = random.Random(seed)

    def written(word):
        ways = [f"{{ {word} / {source.choice('abcxyz')} }}", f"{{ x y / {word} {word} }}", f"({word})"]
        return source.choice(ways) if source.random() < 0.3 else word

    return {name: " ".join(map(written, words)) for name, words in references.items()}


def run_sctk(folder, references, systems, *options):
    """Align all systems with sclite and test all pairs with sc_stats: its table of decisions, its details."""
    (folder / "ref.trn").write_text("".join(f"{text} ({name})\n" for name, text in references.items()))
    hypotheses = []
    for name, hypothesis in systems.items():
        write_trn(folder / f"{name}.trn", hypothesis.items())
        hypotheses += ["-h", f"{name}.trn", "trn", name]
    command = [SCLITE, "-i", "rm", *options, "-r", "ref.trn", "trn", *hypotheses, "-o", "sgml", "stdout"]
    sgml = subprocess.run(command, cwd=folder, capture_output=True, check=True).stdout
    for wanted in (["-t", "std4", "-u"], ["-t", "mapsswe", "-v"]):
        command = [SC_STATS, "-p", *wanted, "-n", "out"]
        subprocess.run(command, cwd=folder, input=sgml, capture_output=True, check=True)
    return (folder / "out.stats.unified").read_text(), (folder / "out.stats.mapsswe").read_text()


def read_decisions(table, names):
    """``(test, system, system)`` to what is printed: the better system or ``~``, p, and stars if any."""
    rows = {test: iter(names) for test in TESTS}
    found = {}
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] in TESTS:
            one = next(rows[cells[0]])
            found |= {(cells[0], one, other): cells[3 + names.index(other)].split() for other in names}
    return found


def read_details(text):
    """Of matched pairs: ``(system, system)`` to segments, mean, deviation and Z."""
    line = r"\(systems: (\S+) (\S+)\) \(# segs: (\d+)\).*\(mean: (.*?)\) \(std dev: (.*?)\) \(Z Stat: (.*?)\)"
    return {(one, other): [float(number) for number in numbers] for one, other, *numbers in re.findall(line, text)}


def printed(p):
    """How sc_stats prints p."""
    stars = "*" * sum(p <= level for level in (0.05, 0.01, 0.001))
    return ["<0.001" if p < 0.001 else f"{p:.3f}", *([stars] if stars else [])]


def looked_up(z):
    """What sc_stats may print for Z, which it cuts to hundredths, perhaps after an error of rounding."""
    return [printed(math.erfc(math.floor((abs(z) + error) * 100) / 100 / math.sqrt(2))) for error in (-TINY, 0, TINY)]


def acceptable(test, result, trials):
    """What sc_stats may print of p: for binomials of many trials what 2.4.10 makes of them, or what is right."""
    if test in ("MP", "WI"):
        return looked_up(result.statistic)
    fewer = result.statistic
    if trials <= EXACT_TRIALS or 2 * fewer == trials:
        return [printed(result.p)]
    return [*looked_up((fewer - trials) / math.sqrt(trials)), *looked_up((2 * fewer + 1 - trials) / math.sqrt(trials))]


@pytest.mark.skipif(SC_STATS is None, reason="sc_stats is not installed (Debian: apt-get install sctk)")
@pytest.mark.parametrize("seed", range(8))  # 28 pairs each
def test_equal_to_sc_stats(tmp_path, seed):
    references, systems = random_systems(seed)
    results = {name: aligned(references, hypotheses) for name, hypotheses in systems.items()}
    texts = {name: " ".join(words) for name, words in references.items()}
    assert_equal(results, *run_sctk(tmp_path, texts, systems))


@pytest.mark.skipif(SC_STATS is None, reason="sc_stats is not installed (Debian: apt-get install sctk)")
@pytest.mark.parametrize("seed", range(1, 9))
def test_equal_to_sc_stats_where_references_have_alternations(tmp_path, seed):
    references, systems = random_systems(seed)
    texts = with_alternations(references, seed)
    said = {name: {utt: " ".join(words) for utt, words in one.items()} for name, one in systems.items()}
    results = {name: marked(texts, hypotheses) for name, hypotheses in said.items()}
    assert any(one.reference != other.reference for one, other in zip(results["one"], results["two"], strict=True))
    assert_equal(results, *run_sctk(tmp_path, texts, systems, "-D", "-F"))


def assert_equal(results, table, text):
    """That every test of every pair says what sc_stats printed."""
    decisions, details = read_decisions(table, list(results)), read_details(text)
    for one, other in combinations(results, 2):
        a, b = results[one], results[other]
        only_one = sum((u.counts.errors > 0) != (v.counts.errors > 0) for u, v in zip(a, b, strict=True))
        for name, test in TESTS.items():
            result = test(a, b)
            better, *p = decisions[name, one, other]
            trials = {"SI": result.pairs, "MN": only_one}.get(name, 0)
            assert p in acceptable(name, result, trials), (name, one, other, result)
            if trials <= EXACT_TRIALS:
                assert better == {"a": one, "b": other, None: "~"}[result.better], (name, one, other, result)
        result = matched_pairs(a, b)
        numbers = [result.pairs, result.mean, result.deviation, result.statistic]
        assert numbers == pytest.approx(details[one, other], abs=0.0005 + TINY), (one, other)
