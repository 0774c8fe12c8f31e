"""docs/training_step.md names what exists."""

import ast
import re
import traceback

import pytest
import torch
from training_helpers import prepare, train_command

from omni_asr.bin import train

PAIRS = re.compile(r"`([\w.]+)`\s+(?:in\s+|\()`(omni_asr/[\w/]+\.py)`")
ROWS = re.compile(r"^\| \d \| `(omni_asr/[\w/]+\.py)` \| `([\w.]+)` \|", re.MULTILINE)


def names_in(path) -> set[str]:
    """Functions, classes, methods (as Class.method) and constants of a file."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
    return found


@pytest.mark.parametrize(("page", "least"), [("training_step.md", 18), ("moe.md", 6)])
def test_pages_cite_names_that_exist(root, page, least):
    text = (root / "docs" / page).read_text(encoding="utf-8")
    cited = [(file, name) for name, file in PAIRS.findall(text)] + ROWS.findall(text)
    assert len(cited) >= least
    for file, name in cited:
        assert name in names_in(root / file), f"{name} is not in {file}"


def test_every_file_it_names_exists(root):
    text = (root / "docs" / "training_step.md").read_text(encoding="utf-8")
    files = set(re.findall(r"`((?:omni_asr|tests|egs)/[\w/]+\.(?:py|sh))`", text))
    assert len(files) > 10
    assert [file for file in sorted(files) if not (root / file).exists()] == []


def test_the_walk_is_the_one_that_a_training_takes(root, tmp_path, monkeypatch):
    """The stack at the CTC loss, without PyTorch's own frames, is the table; at most six hops and four files."""
    options = prepare(tmp_path, train=10)
    stacks = []

    def ctc_loss(*arguments, **options):
        stacks.append([(frame.filename, frame.name) for frame in traceback.extract_stack()])
        return original(*arguments, **options)

    original = torch.nn.functional.ctc_loss
    monkeypatch.setattr(torch.nn.functional, "ctc_loss", ctc_loss)
    train.main(train_command(options, tmp_path / "exp", "train.max_steps=1")[3:])
    package = str(root / "omni_asr")
    stack = next(stack for stack in stacks if any(name == "train_step" for _, name in stack))
    walked = [(file, name) for file, name in stack if file.startswith(package)]
    rows = ROWS.findall((root / "docs" / "training_step.md").read_text(encoding="utf-8"))
    assert [(str(root / file), name.rpartition(".")[2]) for file, name in rows] == walked
    assert len(walked) + 1 <= 6  # and the shell's stage 3 before them
    assert len({file for file, _ in walked}) + 1 <= 4
    assert "stage_3() {" in (root / "egs" / "TEMPLATE" / "recipe.sh").read_text(encoding="utf-8")
