"""Fixtures that several test files share."""

import shutil
from pathlib import Path

import pytest
from recipe_helpers import Recipe

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def speech() -> Path:
    """Folder of real recordings beside the repository; tests that use it are skipped where it is absent."""
    folder = ROOT.parent / "shared" / "speech"
    if not folder.is_dir():
        pytest.skip("no folder ../shared/speech with recordings beside the repository")
    return folder


@pytest.fixture
def recipe(tmp_path):
    return Recipe(tmp_path)


@pytest.fixture(scope="session")
def finished_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    Recipe(folder).run()
    return folder


@pytest.fixture
def finished(tmp_path, finished_folder):
    """A recipe that has run through all stages; time stamps are kept."""
    shutil.copytree(finished_folder / "egs/toy", tmp_path / "copy", symlinks=True)
    recipe = Recipe(tmp_path)
    shutil.rmtree(recipe.dir)
    (tmp_path / "copy").rename(recipe.dir)
    recipe.calls()
    return recipe
