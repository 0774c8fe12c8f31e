"""Stages 1 and 2 of every recipe, on a fake copy of its corpus."""

import importlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from corpora.table import ELSEWHERE, ROWS

from omni_asr.audio.reader import AudioReader
from omni_asr.kaldi.rename import perturb_speed
from omni_asr.kaldi.tables import read_table
from omni_asr.kaldi.validate import validate

ROOT = Path(__file__).resolve().parents[1]
EXPECTED = Path(__file__).parent / "corpora" / "expected"


def test_every_recipe_is_in_the_table():
    recipes = {path.parent.name for path in (ROOT / "egs").glob("*/run.sh")}
    assert recipes == {row.name for row in ROWS} | set(ELSEWHERE)
    for row in ROWS:
        assert {path.name for path in (EXPECTED / row.name).iterdir()} <= set(row.sets), row.name


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_stages_1_and_2(row, tmp_path):
    skip_without(row.programs)
    corpus = tmp_path / "corpus"
    folders = importlib.import_module(f"corpora.{row.name}").make(corpus)
    recipe = copy_recipe(row.name, tmp_path)
    options = [f"--corpus_dir={folder}" for folder in folders]
    run(
        recipe,
        ["./run.sh", "--stage", "1", "--stop_stage", "2", *options, "--max_removed", "0.9", "--nj", "2"]
        + [*row.options, *row.data_options],
    )
    for name in row.sets:
        compare(recipe / "data" / name, EXPECTED / row.name / name, corpus)
        counts = validate(recipe / "data" / name)
        removed = recipe / "data" / name / "removed_utts"
        extracted = len(read_table(recipe / "data" / name / "feats.scp"))
        assert extracted and extracted + (len(read_table(removed)) if removed.exists() else 0) == counts["utt"]
    again = [f"--sets={name}" for name in row.sets] if "sets" in (recipe / "run.sh").read_text() else []
    run(
        recipe,
        ["local/data.sh", "--data_dir=again", *options, "--max_removed=0.9", "--nj=1", *row.data_options, *again],
    )
    for path in (recipe / "again").rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (recipe / "data" / path.relative_to(recipe / "again")).read_bytes(), path


PERTURBED = [row for row in ROWS if "\nspeed_perturb=true" in (ROOT / "egs" / row.name / "run.sh").read_text()]


@pytest.mark.parametrize("row", PERTURBED, ids=lambda row: row.name)
def test_training_sets_are_heard_at_every_speed(row, tmp_path):
    """Segments keep their place when their recordings are perturbed, whatever wav.scp makes of these."""
    skip_without(row.programs)
    folders = importlib.import_module(f"corpora.{row.name}").make(tmp_path / "corpus")
    recipe, train = copy_recipe(row.name, tmp_path), row.sets[0]
    options = [*(f"--corpus_dir={folder}" for folder in folders), "--max_removed=0.9", *row.data_options]
    run(recipe, ["local/data.sh", "--data_dir=data", f"--sets={train}", *options])
    count = perturb_speed(recipe / "data" / train, recipe / "data" / "sp", [0.9, 1.0, 1.1])
    assert validate(recipe / "data" / "sp", feats=False)["utt"] == count
    reader = AudioReader(recipe / "data" / "sp", 16000, allow_upsample=True)
    names = list(read_table(recipe / "data" / train / "text"))
    assert count == 3 * len(names) > 0
    for name in names:
        samples = len(reader.read(name).samples)
        for factor in (0.9, 1.1):
            perturbed = reader.read(f"sp{factor}-{name}").samples
            assert abs(len(perturbed) - samples / factor) <= 16 and abs(perturbed).max() > 1000, (name, factor)


def skip_without(programs) -> None:
    """Skip a test of a recipe whose preparation calls programs that are not installed."""
    missing = [program for program in programs if not shutil.which(program)]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")


def copy_recipe(name: str, folder: Path) -> Path:
    """A copy of a recipe and of the template in a folder, beside links to the package and the tools."""
    (folder / "omni_asr").symlink_to(ROOT / "omni_asr")
    (folder / "tools").mkdir()
    for path in (ROOT / "tools").iterdir():
        if path.name != "sph2pipe":  # expected files name ffmpeg
            (folder / "tools" / path.name).symlink_to(path)
    ignored = shutil.ignore_patterns("data", "exp", "fbank", "corpus", "log", "__pycache__")
    for part in ("TEMPLATE", name):
        shutil.copytree(ROOT / "egs" / part, folder / "egs" / part, symlinks=True, ignore=ignored)
    return folder / "egs" / name


def run(recipe: Path, command: list[str]) -> None:
    """Run a script of a recipe; sph2pipe is hidden where it is installed."""
    folders = [folder for folder in os.environ["PATH"].split(":") if not Path(folder, "sph2pipe").exists()]
    done = subprocess.run(
        command, cwd=recipe, env={**os.environ, "PATH": ":".join(folders)}, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


def compare(data: Path, expected: Path, corpus: Path) -> None:
    """Compare the tables that were checked by hand."""
    tables = sorted(path for path in expected.iterdir())
    assert tables, f"{expected} has no table"
    for path in tables:
        assert (data / path.name).read_text().replace(str(corpus), "CORPUS") == path.read_text(), (
            f"{data.name}/{path.name}"
        )
