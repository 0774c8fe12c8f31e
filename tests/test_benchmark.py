"""The table of a benchmark, from what recipes leave."""

import json
import re
import shutil

import numpy as np
import pytest
from report_helpers import CHROMIUM, Page, layout

from omni_asr.analysis.benchmark import Column, Found, Plan, measure, read_found, read_plan
from omni_asr.analysis.benchmark_page import html, markdown, write
from omni_asr.bin import benchmark as program
from omni_asr.bin import run_program
from omni_asr.errors import UserError
from omni_asr.scoring.bootstrap import interval, mean_interval
from omni_asr.scoring.protocol import Protocol
from omni_asr.scoring.sclite import Utterance
from omni_asr.scoring.score import score

WORDS = "river stone garden window candle bridge forest table yellow summer".split()


def scored(folder, name, rates, regime="whisper"):
    """A decoded and scored set: for each beginning of ids, 20 words of two speakers with so many words wrong."""
    data, decoded = folder / "data" / name, folder / "exp/omni_base" / f"decode_{name}"
    rows = []
    for prefix, wrong in rates.items():
        for speaker in range(2):
            hypothesis = ["wrong" if index + 10 * speaker < wrong else word for index, word in enumerate(WORDS)]
            rows.append((f"{prefix}s{speaker}-1", f"{prefix}s{speaker}", " ".join(WORDS), " ".join(hypothesis)))
        rows.append((f"{prefix}s1-2", f"{prefix}s1", "mhm", "mhm"))
    for place, table, column in [(data, "utt2spk", 1), (data, "text", 2), (decoded, "text", 3)]:
        place.mkdir(parents=True, exist_ok=True)
        (place / table).write_text("".join(f"{row[0]} {row[column]}\n" for row in sorted(rows)))
    (decoded / "model_info.json").write_text(json.dumps({"router": "omni", "params_total": 5_213_000}))
    score(data, decoded, Protocol(regime))


@pytest.fixture
def recipes(root, tmp_path):
    """Every set of the eleven columns; column number i has i of 20 words wrong."""
    plan = read_plan(root / "egs/benchmark/conf/columns.yaml")
    rates = {}
    for number, column in enumerate(plan.columns, 1):
        rates.setdefault((column.recipe, column.set), {})[column.subset] = number
    for (recipe, name), wrong in rates.items():
        scored(tmp_path / recipe, name, wrong)
        for table in ("text_glm", "text_verbatim", "text_whisper"):
            shutil.copy(tmp_path / recipe / "data" / name / "text", tmp_path / recipe / "data" / name / table)
        official = root / "egs" / recipe / "conf" / "official_counts"
        (tmp_path / recipe / "conf").mkdir(exist_ok=True)
        shutil.copy(official, tmp_path / recipe / "conf")
    (tmp_path / "commonvoice/data/test/release").write_text("17.0\n")
    return tmp_path


@pytest.fixture
def plan(root):
    return read_plan(root / "egs/benchmark/conf/columns.yaml")


@pytest.fixture
def found(plan):
    return {column.recipe: Found(("/corpora/x",), f"{column.recipe}-1.0") for column in plan.columns}


def test_the_columns_are_the_published_ones(root, plan):
    assert [column.name for column in plan.columns] == (
        "AMI-IHM, CHiME-6, Common Voice, FLEURS, CallHome, Switchboard, LibriSpeech clean, LibriSpeech other, "
        "WSJ nov92, TED-LIUM, VoxPopuli".split(", ")
    )
    means = [round(sum(rates) / 11, 2) for rates in zip(*(c.published for c in plan.columns), strict=True)]
    assert means == [11.48, 11.84, 11.75]  # as published, so no figure is mistyped
    assert {column.recipe for column in plan.columns} == set(plan.corpora)
    options = (root / "egs/benchmark/run.sh").read_text()
    assert set(re.findall(r"^(\w+)_dir=\(\)", options, re.MULTILINE)) == set(plan.corpora)
    assert plan.sets("librispeech") == ["test_clean", "test_other"]


def test_eleven_columns_and_their_plain_mean(plan, found, recipes):
    """By hand: 5 % to 55 % in steps of 5, mean 30; the halves of Hub5'00 each for itself."""
    benchmark = measure(plan, found, recipes, "omni_base")
    assert [round(column.percent, 2) for column in benchmark.columns] == [5.0 * number for number in range(1, 12)]
    assert benchmark.is_complete and round(benchmark.mean()[0], 2) == 30.0
    low, high = benchmark.mean()[1].low, benchmark.mean()[1].high
    assert low < 30 < high
    sizes = {(column.here.utterances, column.dropped, column.words) for column in benchmark.columns}
    assert sizes == {(3, 1, 20)}
    text = markdown(benchmark)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    assert rows[0][-2:] == ["VoxPopuli", "Average of 11"]
    assert rows[2][0] == "**omni_base**" and rows[2][1].startswith("5.00*") and rows[2][-1].startswith("30.00 (")
    assert [row[-1] for row in rows[3:6]] == ["11.48", "11.84", "11.75"]
    details = {row[0]: row for row in rows[8:]}
    assert details["CallHome"][1:4] == ["switchboard-1.0", "eval2000, en_*", "whisper"]
    assert "1 without a word after normalisation" in details["CallHome"][4]
    assert details["CallHome"][5:9] == ["2 speakers", "3 of 2,628", "20", "25.00"]
    assert [details["Common Voice"][place] for place in (1, 6)] == ["17.0", "3 of 16,393"]
    assert details["CHiME-6"][6] == "3" and "; 21 of 55,132 words in text_glm; " in details["CHiME-6"][4]
    assert all(cell.split()[0].endswith("*") for cell in rows[2][1:-1])
    assert "not as many utterances or words as the official set has" in text


@pytest.mark.parametrize(
    ("recipe", "name", "counts", "whole", "remark"),
    [
        ("fleurs", "FLEURS", "test 3\n", True, ""),
        ("fleurs", "FLEURS", "test 4\n", False, ""),
        ("chime6", "CHiME-6", "eval - 21 text_glm\n", True, ""),  # how many utterances is not known
        ("chime6", "CHiME-6", "eval - - - 5.2\n", True, "what the official set has is not known"),
        ("chime6", "CHiME-6", "eval 3 22 text\n", False, "21 of 22 words in text"),
        ("commonvoice", "Common Voice", "test@5.1 4\ntest@17.0 3\n", True, ""),
        ("commonvoice", "Common Voice", "test@17.0 4\ntest@5.1 3\n", False, ""),
        ("commonvoice", "Common Voice", "test@5.1 4\n", True, "what the official set has is not known"),
        ("switchboard", "CallHome", "eval2000 6\neval2000_swbd 4\neval2000_callhm 3\n", True, ""),
        ("switchboard", "CallHome", "eval2000_callhm 3 22\n", False, "21 of 22 words in text"),
        ("switchboard", "CallHome", "eval2000_callhm 3 22 scored\n", True, ""),  # by an stm, elsewhere
        ("fleurs", "FLEURS", "# of release 1\n\ntest 3 # utterances\ntest 4\n", True, ""),  # the first counts
        ("chime6", "CHiME-6", "eval - 22 # words\n", False, "21 of 22 words in text"),
    ],
)
def test_a_copy_that_is_not_whole_is_marked(plan, found, recipes, recipe, name, counts, whole, remark):
    """By what the recipe says of the set, of its release and of the half of Hub5'00."""
    (recipes / recipe / "conf/official_counts").write_text(counts)
    benchmark = measure(plan, found, recipes, "omni_base")
    column = next(column for column in benchmark.columns if column.column.name == name)
    assert column.is_whole == whole
    line = next(line for line in markdown(benchmark).splitlines() if line.startswith(f"| {name} |"))
    assert remark in line and (remark or "known" not in line)


@pytest.mark.parametrize("counts", ["test\n", "test 3 4 text 5 6\n", "test many\n"])
def test_official_counts_that_are_none_are_named(plan, found, recipes, counts):
    (recipes / "fleurs/conf/official_counts").write_text(f"# counts\n{counts}")
    with pytest.raises(UserError, match=r"conf/official_counts:2: '.*' is not <set> <utterances>"):
        measure(plan, found, recipes, "omni_base")


def test_the_protocol_of_a_column_is_named(plan, found, recipes):
    rate = recipes / "ami/exp/omni_base/decode_eval/wer_whisper"
    rate.write_text(rate.read_text().replace("Protocol: words", "Protocol: stm"))
    text = markdown(measure(plan, found, recipes, "omni_base"))
    assert "| eval | whisper by stm |" in text and text.count("| whisper |") == 10


def test_a_partial_table_has_no_average(plan, found, recipes):
    """The first three columns are not there: the mean of the others is given for every system, and named as such."""
    for recipe in ("ami", "chime6"):
        found[recipe] = Found(problem="the corpus is not there")
    found["commonvoice"] = Found(problem="egs/commonvoice failed")
    benchmark = measure(plan, found, recipes, "omni_base", "From fixtures.")
    assert not benchmark.is_complete and round(benchmark.mean()[0], 2) == 37.5  # of 20 to 55
    text = markdown(benchmark)
    assert "**From fixtures.**" in text
    assert "Columns missing: 3 of 11, so there is no average" in text
    assert "- AMI-IHM, CHiME-6: the corpus is not there\n- Common Voice: egs/commonvoice failed\n" in text
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    assert rows[0][-2:] == ["Average of 11", "Mean of the 8 here"]
    assert rows[2][1:4] == ["–"] * 3 and rows[2][-2] == "–" and rows[2][-1].startswith("37.50 (")
    details = next(number for number, row in enumerate(rows) if row[0] == "column")
    assert [rule == "---:" for rule in rows[details + 1]] == [False] * 6 + [True] * 4
    assert rows[details + 2][5].split()[-1] in ("speakers", "utterances")
    assert rows[3][-2:] == ["11.48", "7.99"]  # (8.4 + 15 + 13.5 + 3.3 + 7.3 + 3.7 + 4.2 + 8.5) / 8


def test_the_page_is_well_formed_and_escapes(plan, found, recipes):
    found["ami"] = Found(problem="<not> found")
    benchmark = measure(plan, found, recipes, "omni_base", "<i>From fixtures</i>")
    seen = Page(html(benchmark)).seen
    assert "<i>From fixtures</i>" in seen and "AMI-IHM: <not> found" in seen
    assert "Mean of the 10 here" in seen and "Omni-router 246 M (140 M active)" in seen and "5.21 M" in seen


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium to draw the page with")
def test_the_page_fits_on_a_narrow_screen(plan, found, recipes):
    benchmark = measure(plan, found, recipes, "omni_base")
    for page in layout([write(benchmark, recipes)[1]], recipes):
        assert page["beyond"] == 0 and page["letters"] >= 10
        assert page["width"] < 1200 or page["scrolled"] == []


def test_the_mean_s_interval_is_narrower_than_those_of_its_sets():
    """Variances of independent sums add, so the width is the root of the sum of squares, over the number of sets."""
    source = np.random.default_rng(1)

    def one_set():
        for number in range(50):
            letters = "".join(source.choice(["S", "C"], 40, p=[0.25, 0.75]))
            yield Utterance(f"{number}", f"s{number}", ["w"] * 40, ["w"] * 40, letters)

    sets = [list(one_set()) for _ in range(4)]
    four = mean_interval(sets)
    widths = [alone.high - alone.low for alone in map(interval, sets)]
    assert four.high - four.low == pytest.approx(np.hypot.reduce(widths) / 4, rel=0.05)
    assert (four.blocks, four.unit) == (4, "sets") and four == mean_interval(sets)
    assert mean_interval([]) is None and mean_interval([sets[0], sets[0][:1]]) is None


def test_figures_of_another_regime_are_refused(plan, found, recipes, tmp_path):
    scored(tmp_path / "other", "test", {"": 1}, "verbatim")
    one = Plan("verbatim", (), (Column("Other", "other", "test", ()),), {})
    assert round(measure(one, {"other": Found(("/x",))}, tmp_path, "omni_base").mean()[0]) == 5
    wer = recipes / "fleurs/exp/omni_base/decode_test/wer_whisper"
    wer.write_text(wer.read_text().replace("whisper", "verbatim"))
    with pytest.raises(UserError, match="is scored in the regime verbatim, not whisper"):
        measure(plan, found, recipes, "omni_base")
    wer.unlink()
    with pytest.raises(UserError, match="wer_whisper does not exist; score this set first"):
        measure(plan, found, recipes, "omni_base")


def test_nothing_at_all_is_an_error(plan, found, recipes):
    nothing = {recipe: Found(problem="gone") for recipe in found}
    with pytest.raises(UserError, match=r"no column has a figure \(AMI-IHM, CHiME-6, .*VoxPopuli: gone\)"):
        measure(plan, nothing, recipes, "omni_base")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "columns.yaml:1: not valid YAML"),
        ("regime: whisper", "is not a benchmark ('columns' is missing)"),
        ("[1]", "is not a benchmark"),
        ("{regime: loud, columns: []}", "there is no regime 'loud'"),
        ("{regime: glm, columns: [{name: A, recipe: a, set: t, size: 1}]}", "unexpected keyword argument 'size'"),
        (
            "{regime: glm, systems: [x, y], columns: [{name: A, recipe: a, set: t, published: [1]}]}",
            "A has 1 figures of 2",
        ),
    ],
)
def test_a_damaged_plan_is_one_line(tmp_path, text, said):
    (tmp_path / "columns.yaml").write_text(text)
    with pytest.raises(UserError, match=re.escape(said)) as caught:
        read_plan(tmp_path / "columns.yaml")
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="none.yaml does not exist"):
        read_plan(tmp_path / "none.yaml")


def test_the_program(root, found, recipes, tmp_path, capsys):
    rows = {name: {"folders": one.folders, "release": one.release, "problem": ""} for name, one in found.items()}
    (tmp_path / "found.json").write_text(json.dumps(rows))
    assert read_found(tmp_path / "found.json") == found
    options = ["--columns", str(root / "egs/benchmark/conf/columns.yaml"), "--found", str(tmp_path / "found.json")]
    options += ["--recipes", str(recipes), "--name", "omni_base", "--out", str(tmp_path / "out")]
    assert run_program(program.main, options) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("AMI-IHM: 5.00 [") and said[0].endswith("] (of a part of the set)")
    assert said[11].startswith("average of 11: 30.00 [")
    assert (tmp_path / "out/benchmark.md").exists() and said[-1] == str(tmp_path / "out/benchmark.html")
    assert run_program(program.main, [*options, "--failed", "ami"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "AMI-IHM: - (egs/ami failed)" and said[11] == "no average; columns missing: 1 of 11"
    (tmp_path / "found.json").write_text("{")
    assert run_program(program.main, options) == 1
    assert "found.json is not JSON" in capsys.readouterr().err
