"""What a killed writer leaves goes when the same is written again; what another one is writing stays."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
from kaldi_helpers import write_dir
from recipe_helpers import wait_for

from omni_asr.bin import make_fbank
from omni_asr.files import ABANDONED, atomic_write, temporary_folder

WRITER = """
import sys, time
from omni_asr.files import atomic_write, temporary_folder
with {0}(sys.argv[1]) as place:
    print(getattr(place, "name", place), flush=True)
    time.sleep(60)
"""


def temporary(folder):
    return sorted(path.name for path in folder.iterdir() if ".tmp." in path.name)


@pytest.fixture
def writer(tmp_path):
    """Start a process that writes tmp_path/x, and wait until it has begun."""

    def start(function):
        words = [sys.executable, "-c", WRITER.format(function), str(tmp_path / "x")]
        process = subprocess.Popen(words, stdout=subprocess.PIPE)
        process.stdout.readline()
        return process

    return start


def kill(process):
    process.kill()
    process.wait()
    process.stdout.close()


def test_file_of_a_killed_writer(tmp_path, writer):
    process = writer("atomic_write")
    with atomic_write(tmp_path / "x") as file:
        file.write("second\n")
    assert len(temporary(tmp_path)) == 1, "the first is still at work"
    kill(process)
    assert len(temporary(tmp_path)) == 1
    with atomic_write(tmp_path / "x") as file:
        file.write("third\n")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_folder_of_a_killed_writer(tmp_path, writer):
    process = writer("temporary_folder")
    with temporary_folder(tmp_path / "x") as folder:
        assert len(temporary(tmp_path)) == 2
        folder.rename(tmp_path / "x")
    assert len(temporary(tmp_path)) == 1
    kill(process)
    with temporary_folder(tmp_path / "x"):
        assert len(temporary(tmp_path)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_two_at_the_same_time_do_not_meet(tmp_path):
    with atomic_write(tmp_path / "x") as first, atomic_write(tmp_path / "x") as second:
        second.write("second\n" * 10_000)
        first.write("first\n" * 10_000)
    assert (tmp_path / "x").read_text() == "first\n" * 10_000
    assert temporary(tmp_path) == []


def test_writer_on_another_machine(tmp_path):
    """Its lock may not be seen here, so its file goes when nothing has changed for days."""
    for name, age in (("old", ABANDONED + 1), ("new", 60.0)):
        path = tmp_path / f".x.tmp.elsewhere.{name}"
        path.touch()
        os.utime(path, (time.time() - age,) * 2)
    with atomic_write(tmp_path / "x"):
        pass
    assert temporary(tmp_path) == [".x.tmp.elsewhere.new"]


def test_names_that_only_look_alike(tmp_path):
    (tmp_path / ".x.tmp").touch()
    (tmp_path / ".xx.tmp.1").touch()
    with atomic_write(tmp_path / "x"):
        pass
    assert len(list(tmp_path.iterdir())) == 3


def test_make_fbank_that_is_killed_and_run_again(tmp_path):
    names = [f"a-{number:03}" for number in range(40)]
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(1).normal(0, 0.1, 16000), 16000)
    wav = "\n".join(f"{name} sleep 0.05; cat {tmp_path}/a.wav |" for name in names)
    data = write_dir(tmp_path / "data", wav_scp=wav, utt2spk="\n".join(f"{name} a" for name in names))
    words = [sys.executable, "-m", "omni_asr.bin.make_fbank", str(data), str(tmp_path / "fbank/x")]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    wait_for(lambda: (tmp_path / "fbank").is_dir() and temporary(tmp_path / "fbank"), 60)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(temporary(tmp_path / "fbank")) == 1
    make_fbank.main(words[3:])
    assert temporary(tmp_path / "fbank") == [] and (tmp_path / "fbank/x.scp").read_text().count("\n") == 40
