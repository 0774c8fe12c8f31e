"""docs/training_step.md names what exists."""

import ast
import re

PAIRS = re.compile(r"`([\w.]+)`\s+(?:in\s+|\()`(omni_asr/[\w/]+\.py)`")
ROWS = re.compile(r"^\| \d \| `(omni_asr/[\w/]+\.py)` \| `([\w.]+)` \|", re.MULTILINE)


def names_in(path) -> set[str]:
    """Functions, classes and methods (as Class.method) of a file."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
    return found


def test_the_walk_cites_names_that_exist(root):
    text = (root / "docs" / "training_step.md").read_text(encoding="utf-8")
    cited = [(file, name) for name, file in PAIRS.findall(text)] + ROWS.findall(text)
    assert len(cited) >= 18
    for file, name in cited:
        assert name in names_in(root / file), f"{name} is not in {file}"


def test_every_file_it_names_exists(root):
    text = (root / "docs" / "training_step.md").read_text(encoding="utf-8")
    files = set(re.findall(r"`((?:omni_asr|tests|egs)/[\w/]+\.(?:py|sh))`", text))
    assert len(files) > 10
    assert [file for file in sorted(files) if not (root / file).exists() and file != "egs/mini/run.sh"] == []


def test_at_most_six_hops_and_four_files(root):
    rows = ROWS.findall((root / "docs" / "training_step.md").read_text(encoding="utf-8"))
    assert len(rows) + 1 <= 6
    assert len({file for file, _ in rows}) + 1 <= 4
