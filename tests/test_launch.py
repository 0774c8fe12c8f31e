"""The job launcher: logs, failures, numbering, and no process left behind."""

import os
import re
import signal
import subprocess
import sys

import pytest
from recipe_helpers import ROOT, lives, wait_for

from omni_asr.bin import launch, run_program
from omni_asr.errors import UserError
from omni_asr.jobs.array import JobArray, Resources, parse_range
from omni_asr.jobs.backends import local


def run_launch(*arguments):
    return launch.main([str(argument) for argument in arguments])


def test_job_number_is_put_into_log_and_command(tmp_path):
    assert run_launch("local", "JOB=2:4", tmp_path / "log/x.JOB.log", "echo", "part.JOB of JOB") == 0
    logs = sorted(path.name for path in (tmp_path / "log").iterdir())
    assert logs == ["x.2.log", "x.3.log", "x.4.log"]
    lines = (tmp_path / "log/x.3.log").read_text().splitlines()
    assert lines[0] == "# echo 'part.3 of 3'"
    assert lines[1].startswith("# Started at ")
    assert lines[3] == "part.3 of 3"
    assert re.fullmatch(r"# Accounting: time=\d+ threads=1", lines[4])
    assert lines[5].startswith("# Ended (code 0) at ")


def test_one_job_needs_no_range(tmp_path):
    assert run_launch("local", "--mem", "4G", tmp_path / "a.log", "echo", "JOB") == 0
    assert "\nJOB\n" in (tmp_path / "a.log").read_text()


def test_command_is_passed_on_untouched(tmp_path):
    words = ["a b", "$(exit 3)", "'\"", "--some_option", "--num_threads", "", "X=1:3"]
    script = "import sys; print(sys.argv[1:])"
    assert run_launch("local", tmp_path / "a.log", sys.executable, "-c", script, *words) == 0
    assert f"\n{words}\n" in (tmp_path / "a.log").read_text()


def test_one_of_four_jobs_fails(tmp_path, capsys):
    code = "echo out JOB; echo bad-luck-JOB >&2; test JOB != 3"
    assert run_launch("local", "JOB=1:4", tmp_path / "x.JOB.log", "bash", "-c", code) == 1
    error = capsys.readouterr().err
    assert f"launch: 1 / 4 failed, log is in {tmp_path}/x.*.log\n" in error
    assert "    bad-luck-3\n" in error
    assert "Ended (code 0)" in (tmp_path / "x.4.log").read_text(), "later jobs still run"
    assert "Ended (code 1)" in (tmp_path / "x.3.log").read_text()


def test_only_the_end_of_a_long_log_is_shown(tmp_path, capsys):
    assert run_launch("local", tmp_path / "a.log", "bash", "-c", "seq 100; exit 7") == 1
    error = capsys.readouterr().err
    assert "    100\n" in error and "    1\n" not in error


def test_log_is_replaced_not_extended(tmp_path):
    for word in ("first", "second"):
        assert run_launch("local", tmp_path / "a.log", "echo", word) == 0
    assert "first" not in (tmp_path / "a.log").read_text()


def test_command_that_does_not_exist(tmp_path, capsys):
    assert run_launch("local", tmp_path / "a.log", "no-such-command") == 1
    assert "no-such-command: No such file or directory" in capsys.readouterr().err
    assert "Ended (code 127)" in (tmp_path / "a.log").read_text()


def test_job_killed_by_a_signal_is_a_failure(tmp_path):
    assert run_launch("local", tmp_path / "a.log", "bash", "-c", "kill -9 $$") == 1
    assert "Ended (code 137)" in (tmp_path / "a.log").read_text()


def test_jobs_side_by_side_are_limited(tmp_path):
    script = 'mkdir "$0/JOB"; ls "$0" | wc -l; sleep 0.1; rmdir "$0/JOB"'
    (tmp_path / "now").mkdir()
    arguments = ["JOB=1:5", tmp_path / "x.JOB.log", "bash", "-c", script, tmp_path / "now"]
    assert run_launch("local", "--max_jobs", "2", *arguments) == 0
    counts = [int((tmp_path / f"x.{job}.log").read_text().splitlines()[3]) for job in range(1, 6)]
    assert max(counts) <= 2


def test_threads_limit_jobs_and_reach_them(tmp_path):
    assert (
        run_launch("local", "--num-threads=3", tmp_path / "a.log", "bash", "-c", "echo threads $OMP_NUM_THREADS") == 0
    )
    assert "\nthreads 3\n" in (tmp_path / "a.log").read_text()
    many = JobArray(["true"], "JOB", "JOB", 1, 9, Resources(num_threads=10_000))
    assert local.jobs_at_once(many, 0) == 1


def test_gpus_are_shared_out(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    assert (
        run_launch("local", "--gpu", "1", "JOB=1:4", tmp_path / "JOB", "bash", "-c", "echo $CUDA_VISIBLE_DEVICES") == 0
    )
    assert {(tmp_path / str(job)).read_text().splitlines()[3] for job in range(1, 5)} == {"4", "7"}
    with pytest.raises(UserError, match="this machine shows 2"):
        run_launch("local", "--gpu", "3", tmp_path / "a.log", "true")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pbs", "a.log", "true"], "the back end 'pbs' is not available; use one of: local, slurm"),
        (["local", "--partition", "gpu", "a.log", "true"], "unrecognized arguments: --partition"),
        (["local", "--nodes", "2", "a.log", "true"], "--nodes 2: local is one machine; use the back end slurm"),
        (["local", "JOB=3:2", "JOB.log", "true"], "JOB=3:2 is empty"),
        (["local", "JOB=1:2", "a.log", "true"], "write JOB in its name"),
    ],
)
def test_mistakes_are_named_in_one_line(arguments, message, capsys):
    assert run_program(launch.main, arguments) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [["local"], ["local", "a.log"], ["local", "--mem"], ["local", "--max_jobs", "-1"]]
)
def test_incomplete_command_lines(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        run_launch(*arguments)
    assert exit_.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_check_runs_nothing(tmp_path, capsys):
    assert run_launch("local", "--max_jobs", "2", "--check") == 0
    assert run_launch("local", "--check", tmp_path / "a.log", "false") == 0
    assert not (tmp_path / "a.log").exists()
    assert run_program(launch.main, ["slum", "--check"]) == 1
    assert "the back end 'slum' is not available" in capsys.readouterr().err


def test_ranges():
    assert parse_range("JOB=1:4") == ("JOB", 1, 4)
    assert parse_range("n_2=7") == ("n_2", 7, 7)
    assert parse_range("log/JOB=1:4.log") is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_all_jobs_and_their_children(tmp_path, number):
    script = f"trap '' INT; sleep 60 & echo $! > {tmp_path}/JOB.pid; wait"
    command = [sys.executable, "-m", "omni_asr.bin.launch", "local", "--max_jobs", "2", "JOB=1:3"]
    command += [f"{tmp_path}/JOB.log", "bash", "-c", script]
    process = subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=dict(os.environ, PYTHONPATH=str(ROOT))
    )
    pids = [tmp_path / "1.pid", tmp_path / "2.pid"]
    wait_for(lambda: all(path.exists() and path.read_text().strip() for path in pids))
    process.send_signal(number)
    assert process.wait(timeout=20) == 128 + number
    assert "interrupted; all jobs are ended" in process.stderr.read()
    assert not any(lives(int(path.read_text())) for path in pids)
    assert "Ended (code 143)" in (tmp_path / "1.log").read_text()
    assert not (tmp_path / "3.log").exists(), "no job starts after the signal"


def test_jobs_that_ignore_sigterm_are_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(local, "GRACE", 0.3)
    script = f"trap '' TERM; echo $$ > {tmp_path}/pid; kill -TERM $PPID; sleep 60 & wait; sleep 60"
    assert run_launch("local", tmp_path / "a.log", "bash", "-c", script) == 128 + signal.SIGTERM
    assert not lives(int((tmp_path / "pid").read_text()))


def test_launcher_starts_without_torch():
    code = "import sys, omni_asr.bin.launch, omni_asr.jobs.backends.local; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
