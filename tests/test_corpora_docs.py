"""docs/corpora.md and the READMEs of the recipes."""

import re

import pytest
from corpora.table import ROWS

from omni_asr.analysis.benchmark import read_plan
from omni_asr.kaldi.tables import read_lines


def recipes(root):
    return sorted(
        path.parent.name for path in (root / "egs").glob("*/run.sh") if path.parent.name not in ("mini", "fsdd")
    )


def rows(root):
    lines = [line for line in read_lines(root / "docs/corpora.md") if line.startswith("| [")]
    return {re.match(r"\| \[(\w+)\]", line)[1]: line for line in lines}


def test_every_recipe_has_a_row_and_a_readme(root):
    found = rows(root)
    for name in recipes(root):
        assert name in found, f"docs/corpora.md has no row for egs/{name}"
        assert f"(../egs/{name})" in found[name] and "`./run.sh --" in found[name]
        readme = (root / "egs" / name / "README.md").read_text()
        assert readme.startswith("# ") and "./run.sh" in readme, name
    assert len({line.count("|") for line in found.values()}) == 1


def test_the_rows_name_the_sets_and_counts_of_the_recipes(root):
    found = rows(root)
    for row in ROWS:
        options = (root / "egs" / row.name / "run.sh").read_text()
        tests = re.search(r'^test_sets="([^"]+)"', options, re.MULTILINE)[1].split()
        lacking = [name for name in tests if f"`{name}`" not in found[row.name]]
        assert row.name == "libriheavy" or not lacking, f"{row.name}: {lacking}"
        path = root / "egs" / row.name / "conf/official_counts"
        counts = dict(line.split()[:2] for line in read_lines(path)) if path.exists() else {}
        known = {name for name in tests if counts.get(name, "-") != "-"}
        for name in known if row.name not in ("libriheavy", "voxpopuli") else ():
            assert f"{int(counts[name]):,}" in found[row.name], f"{row.name} {name}"


def test_the_benchmark_s_numbers_are_those_of_its_columns(root):
    plan = read_plan(root / "egs/benchmark/conf/columns.yaml")
    text = " ".join((root / "docs/corpora.md").read_text().split())
    assert (len({column.recipe for column in plan.columns}), len(plan.columns)) == (9, 11)
    assert "(../egs/benchmark) runs nine recipes with one model: ten corpora" in text and "and eleven columns" in text


@pytest.mark.parametrize("page", ["docs/corpora.md", "egs/librispeech/README.md", "egs/benchmark/README.md"])
def test_links_lead_somewhere(root, page):
    """To the recipes that are there; others come with their own change."""
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", (root / page).read_text()):
        path = (root / page).parent / target
        assert path.exists() or path.resolve().parent.name == "egs", target
