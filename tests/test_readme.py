import importlib.util
import re
import subprocess

import pytest

README = "# Title\n\n<!-- results:mini -->\nold\n<!-- /results -->\n\ntext\n<!-- results:none -->\n<!-- /results -->\n"
RESULTS = """# Results

<!-- results -->
| exp | router | set | WER |
| --- | --- | --- | ---: |
| omni_a | omni | test | 9.99 |
<!-- /results -->

<!-- summary -->
| router | config | set | regime | protocol | seeds | WER | CER | params | active |
| --- | --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: |
| dense | mini | test | verbatim | words | 3 | 7.00 ± 0.20 | 3.00 | 1 M | 1 M |
| omni | mini | test | verbatim | words | 3 | 5.00 ± 0.10 | 2.00 | 4 M | 1 M |
| omni | mini | test_noisy | verbatim | words | 3 | 15.00 ± 0.10 | 9.00 | 4 M | 1 M |
<!-- /summary -->
"""


@pytest.fixture(scope="module")
def update_readme(root):
    spec = importlib.util.spec_from_file_location("update_readme", root / "tools" / "update_readme.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_readme_shows_the_results_that_the_recipes_hold(root, update_readme, tmp_path):
    """As committed: a recipe that somebody ran since may have written rows of their own."""
    listed = subprocess.run(["git", "-C", root, "ls-files", "egs/*/RESULTS.md"], capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a checkout of git")

    def committed(name: str) -> str:
        return subprocess.run(["git", "-C", root, "show", f"HEAD:{name}"], capture_output=True, text=True).stdout

    for name in listed.stdout.split():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(committed(name), encoding="utf-8")
    readme = committed("README.md")
    assert update_readme.updated(readme, tmp_path / "egs") == readme


def test_a_block_becomes_one_row_per_run_and_one_column_per_set(update_readme, tmp_path):
    (tmp_path / "mini").mkdir()
    (tmp_path / "mini" / "RESULTS.md").write_text(RESULTS, encoding="utf-8")
    new = update_readme.updated(README, tmp_path)
    table = (
        "| router | config | params | active | seeds | test | test_noisy |\n"
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |\n"
        "| dense | mini | 1 M | 1 M | 3 | 7.00 ± 0.20 |  |\n"
        "| omni | mini | 4 M | 1 M | 3 | 5.00 ± 0.10 | 15.00 ± 0.10 |\n"
    )
    assert new == README.replace("old\n", table)
    assert update_readme.updated(new, tmp_path) == new


def test_runs_that_only_differ_in_hours_have_rows_of_their_own(update_readme, tmp_path):
    table = (
        "<!-- summary -->\n| router | config | set | regime | protocol | seeds | WER | params | active | hours |\n"
        "| omni | mini | test | verbatim | words | 1 | 5.00 | 4 M | 1 M | 2.0 |\n"
        "| omni | mini | test | verbatim | words | 1 | 3.00 | 4 M | 1 M | 81.0 |\n<!-- /summary -->\n"
    )
    (tmp_path / "RESULTS.md").write_text(table.replace("hours |\n", f"hours |\n{'| --- ' * 10}|\n"), encoding="utf-8")
    assert update_readme.results_table(tmp_path / "RESULTS.md").splitlines()[2:] == [
        "| omni | mini | 4 M | 1 M | 2.0 | 1 | 5.00 |",
        "| omni | mini | 4 M | 1 M | 81.0 | 1 | 3.00 |",
    ]


def test_regimes_and_protocols_have_columns_of_their_own(update_readme, tmp_path):
    new = "".join(
        f"| omni | mini | test | {kind} | 3 | {rate:.2f} | 2.00 | 4 M | 1 M |\n"
        for rate, kind in enumerate(["verbatim | words", "whisper | words", "glm | stm, glm 3f", "verbatim | stm"], 1)
    )
    (tmp_path / "RESULTS.md").write_text(RESULTS.split("| dense")[0] + new + "<!-- /summary -->\n", encoding="utf-8")
    heads, _, row = update_readme.results_table(tmp_path / "RESULTS.md").splitlines()
    assert heads.endswith("| test | test (whisper) | test (glm by stm, glm 3f) | test (by stm) |")
    assert row.endswith("| 1.00 | 2.00 | 3.00 | 4.00 |")


@pytest.mark.parametrize("results", [None, "# Results\n", RESULTS.split("| dense")[0] + "<!-- /summary -->\n"])
def test_without_results_the_place_is_empty(update_readme, tmp_path, results):
    (tmp_path / "mini").mkdir()
    if results is not None:
        (tmp_path / "mini" / "RESULTS.md").write_text(results, encoding="utf-8")
    assert update_readme.updated(README, tmp_path) == README.replace("old\n", "")


def test_every_file_that_the_pages_name_is_there(root):
    missing = []
    for page in ("README.md", "CONTRIBUTING.md"):
        text = (root / page).read_text(encoding="utf-8")
        names = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
        names += re.findall(r"(?<![\w/.])((?:tools|tests|omni_asr|egs/TEMPLATE)/[\w/]+\.(?:sh|py|txt))", text)
        missing += [f"{page}: {name}" for name in names if not (root / name).exists()]
    assert missing == []
