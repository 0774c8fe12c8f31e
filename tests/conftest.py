"""Fixtures that several test files share, and what holds for every test."""

import os
import shutil
import signal
import subprocess
import uuid
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from recipe_helpers import Recipe

ROOT = Path(__file__).resolve().parents[1]
MARK = "OMNI_ASR_TEST"
"""Variable of the environment that names the test by which a process was started."""

# A slow machine is no failure, and what fails once fails again.
settings.register_profile("tests", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")


def pytest_configure():
    """Signals do what they do in a terminal; nohup, or ``&`` in a script, leaves them ignored, in children too."""
    for number, handler in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGTERM, signal.SIG_DFL),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture(autouse=True)
def no_process_outlives_its_test(monkeypatch):
    """A test that fails half-way leaves nothing that holds locks or processors while others run."""
    value, start, started = uuid.uuid4().hex, subprocess.Popen.__init__, []

    def start_marked(self, *arguments, env=None, **options):
        started.append(self)
        start(self, *arguments, env={**(os.environ if env is None else env), MARK: value}, **options)

    monkeypatch.setattr(subprocess.Popen, "__init__", start_marked)
    yield
    while started and (left := marked(value)):  # again until none is found: they may start others meanwhile
        for pid in left:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        for process in started:
            process.poll()


def marked(value: str) -> list[int]:
    """The processes that a test has started, orphans and those in sessions of their own too."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with suppress(OSError):  # processes end while they are looked at
            if f"{MARK}={value}".encode() in Path("/proc", name, "environ").read_bytes().split(b"\0"):
                found.append(int(name))
    return found


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
