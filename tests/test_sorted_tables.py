"""Tables that are sorted on the disk, when ``sort`` fails."""

import os

import pytest
from kaldi_helpers import small_dir, write_dir

from omni_asr.bin import collect_feats, run_program, split, validate

FULL = "echo 'sort: write failed: /tmp/sortAB12: No space left on device' >&2; exit 2"
SIGNALLED = "kill -KILL $$"


@pytest.fixture
def failing_sort(tmp_path, monkeypatch):
    """Put a program named sort on PATH that fails in the given way."""
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    (tmp_path / "bin").mkdir()

    def make(commands):
        (tmp_path / "bin/sort").write_text(f"#!/bin/sh\n{commands}\n")
        (tmp_path / "bin/sort").chmod(0o755)

    return make


def features_of_one_job(tmp_path):
    """Outputs of one job of make-fbank for :func:`small_dir`; the prefix of their names."""
    names = ("a-1", "a-2", "b-1")
    write_dir(tmp_path / "fbank", **{"x.1.utt2num_frames": "\n".join(f"{name} 98" for name in names)})
    write_dir(tmp_path / "fbank", **{"x.1.scp": "\n".join(f"{name} x.ark:9" for name in names)})
    (tmp_path / "fbank/x.1.failed").touch()
    (tmp_path / "fbank/x.1.conf").write_text("--num-mel-bins=80\n")
    return str(tmp_path / "fbank/x")


@pytest.mark.parametrize("program", ["collect-feats", "split", "validate"])
@pytest.mark.parametrize(
    ("commands", "reason"),
    [(FULL, "write failed: /tmp/sortAB12: No space left on device"), (SIGNALLED, "sort ended with status -9")],
)
def test_programs_say_in_one_line_that_sort_fails(tmp_path, failing_sort, capfd, program, commands, reason):
    data = small_dir(tmp_path / "data")
    before = sorted(data.iterdir())
    calls = {
        "collect-feats": (collect_feats.main, [str(data), "1", features_of_one_job(tmp_path)]),
        "split": (split.main, [str(data), "2"]),
        "validate": (validate.main, [str(data)]),
    }
    failing_sort(commands)
    assert run_program(*calls[program]) == 1
    error = capfd.readouterr().err
    assert error.startswith(f"{program}: error: cannot sort ") and error.endswith(f": {reason}\n")
    assert error.count("\n") == 1
    assert sorted(data.iterdir()) == before, "nothing is left behind"
