"""What holds for every test: no process outlives it, signals are not ignored, examples are the same each time."""

import subprocess
import sys

import pytest
from hypothesis import settings
from recipe_helpers import ROOT, lives

LEAVES_PROCESSES = """\
import subprocess, sys, time
from pathlib import Path
import pytest

START = "import subprocess, time; print(subprocess.Popen(['sleep', '600'], start_new_session=True).pid, flush=True); "

def start(what):
    process = subprocess.Popen([sys.executable, "-c", START + what], stdout=subprocess.PIPE, text=True)
    with open("pids", "a") as file:
        print(process.pid, process.stdout.readline(), file=file)
    return process

@pytest.fixture(scope="module")
def daemon():
    process = subprocess.Popen(["sleep", "600"])
    yield process
    assert process.poll() is None
    process.kill()

def test_fails_half_way(daemon):
    start("time.sleep(600)")
    assert start("").wait() == 1

def test_is_another(daemon):
    assert daemon.poll() is None
"""


def pytest_run(folder, text, *before):
    (folder / "test_it.py").write_text(text)
    words = [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider", "test_it.py"]
    environment = {"PYTHONPATH": f"{ROOT}/tests:{ROOT}", "PATH": "/usr/bin:/bin"}
    return subprocess.run([*before, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def test_what_a_failed_test_leaves_running_is_ended(tmp_path):
    """A process, its child in a session of its own, and an orphan; what a module's tests share stays."""
    result = pytest_run(tmp_path, LEAVES_PROCESSES)
    assert "1 failed, 1 passed" in result.stdout and "error" not in result.stdout, result.stdout
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 4 and not any(lives(pid) for pid in pids)


def test_signals_that_are_ignored_at_the_start_are_not_in_tests(tmp_path):
    text = """\
import signal, subprocess, pytest
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_child(number):
    process = subprocess.Popen(["sleep", "600"])
    process.send_signal(number)
    assert process.wait(timeout=60) == -number
"""
    result = pytest_run(tmp_path, text, "bash", "-c", "trap '' INT TERM HUP; exec \"$@\"", "-")
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(("name", "value"), [("deadline", None), ("derandomize", True)])
def test_examples_do_not_depend_on_the_machine(name, value):
    assert getattr(settings.default, name) == value
