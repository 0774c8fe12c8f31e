"""The back end slurm without a cluster: stand-ins for sbatch, squeue, scancel and scontrol show the failures."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys

import pytest
from recipe_helpers import ROOT, wait_for

from omni_asr.bin import launch, run_program
from omni_asr.jobs.array import JobArray, Resources
from omni_asr.jobs.backends import slurm

# Runs each job at once, as Slurm would on a node.
SBATCH = """\
for word in "$@"; do
    case ${word} in
        --array=*) tasks=${word#--array=}; tasks=$(seq "${tasks%-*}" "${tasks#*-}") ;;
        --output=*) output=${word#--output=} ;;
    esac
done
export SLURM_JOB_ID=7 SLURM_ARRAY_JOB_ID=7
for SLURM_ARRAY_TASK_ID in ${tasks-0}; do
    export SLURM_ARRAY_TASK_ID
    log=${output//%a/${SLURM_ARRAY_TASK_ID}}
    bash "${!#}" >> "${log//%%/%}" 2>&1
done
echo "7;cluster"
"""
FORGOTTEN = "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1\n"


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Make stand-ins for Slurm's programs: site(sbatch=..., squeue=...); each notes its calls in `calls`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name, seconds in (("POLL", 0.01), ("LOOK", 0.02), ("LOST", 0.1), ("ENDING", 1.0)):
        monkeypatch.setattr(slurm, name, seconds)
    (tmp_path / "conf").mkdir()
    (tmp_path / "bin").mkdir()
    shutil.copy(ROOT / "egs/TEMPLATE/conf/slurm.conf", tmp_path / "conf")

    def make(**programs):
        for name, text in {"sbatch": SBATCH, "squeue": FORGOTTEN, "scancel": "", "scontrol": "", **programs}.items():
            path = tmp_path / "bin" / name
            path.write_text(f'#!/bin/bash\necho "{name} $*" >> {tmp_path}/calls\n{text}')
            path.chmod(0o755)

    make()
    return make


def calls(tmp_path, program):
    lines = (tmp_path / "calls").read_text().splitlines()
    return [line.partition(" ")[2] for line in lines if line.split()[0] == program]


def one_line(error):
    lines = [line for line in error.splitlines() if not line.startswith("launch: Slurm job")]
    assert len(lines) == 1, error
    return lines[0]


def test_array_with_a_failing_job(site, tmp_path, capsys):
    arguments = ["slurm", "--mem", "2G", "--max-jobs", "3", "JOB=2:4", "log/x.JOB.log"]
    site(sbatch=SBATCH.replace("${tasks#*-}", "4"))  # the stand-in for seq does not know %3
    assert launch.main([*arguments, "bash", "-c", "echo out JOB; test JOB != 3"]) == 1
    assert "launch: 1 / 3 failed, log is in log/x.*.log\nend of log/x.3.log:" in capsys.readouterr().err
    lines = (tmp_path / "log/x.3.log").read_text().splitlines()
    assert lines[0] == "# bash -c 'echo out 3; test 3 != 3'" and lines[1].startswith("# Started at ")
    assert lines[3] == "out 3" and re.fullmatch(r"# Accounting: time=\d+ threads=1", lines[4])
    assert lines[5].startswith("# Ended (code 1) at ")
    assert "Ended (code 0)" in (tmp_path / "log/x.4.log").read_text()
    (submitted,) = calls(tmp_path, "sbatch")
    assert submitted.startswith("--export=ALL --job-name=x.JOB.log --mem 2G --parsable ")
    assert f"--output={tmp_path}/log/x.%a.log --open-mode=append --no-requeue --array=2-4%3 " in submitted
    assert sorted(path.name for path in (tmp_path / "log/q").iterdir()) == ["x.JOB.log.sh"], "exit codes are taken away"


def test_launcher_within_a_job_that_was_started_again(site, tmp_path, monkeypatch):
    """The jobs begin to count their own starts at zero."""
    monkeypatch.setenv("SLURM_RESTART_COUNT", "3")
    assert launch.main(["slurm", "a.log", "bash", "-c", "echo count ${SLURM_RESTART_COUNT-none}"]) == 0
    assert "\ncount none\n" in (tmp_path / "a.log").read_text()


def test_words_survive_the_script(site, tmp_path):
    words = ["a b", "$(exit 3)", "'\"", "--some_option", "", "X=1:3", "new\nline", "--", "*", "\\"]
    log = tmp_path / "it's 100%" / "a b.log"
    assert launch.main(["slurm", str(log), sys.executable, "-c", "import sys; print(sys.argv[1:])", *words]) == 0
    assert f"\n{words}\n" in (tmp_path / "it's 100%" / "a b.log").read_text()


def test_what_the_cluster_is_asked_for(site, tmp_path):
    resources = Resources(nodes=2, gpu=4, num_threads=8, restarts=5, options={"partition": "big", "time": "9:00"})
    array = JobArray(["python", "-m", "a.b"], "log/t.log", resources=resources)
    words = shlex.join(slurm.sbatch_arguments(array))
    assert "--signal=B:USR1@120 --gres=gpu:4 --partition big --time 9:00 --cpus-per-task 8 --parsable" in words
    assert words.endswith("--open-mode=append --requeue --nodes=2 --ntasks-per-node=1")
    script = slurm.job_script(array)
    assert "\nexport OMP_NUM_THREADS=2\n" in script, "eight threads for four processes"
    assert f"\nexport PYTHONPATH={ROOT}\n" in script and f"\ncd {tmp_path} " in script
    assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0


@pytest.mark.parametrize(
    ("sbatch", "message"),
    [
        ("echo 'sbatch: error: Bad; $(x)' >&2; exit 1", "launch: error: sbatch refuses the job: Bad; $(x)"),
        ("exit 3", "launch: error: sbatch refuses the job: exit code 3"),
        ("echo surprise", "launch: error: sbatch refuses the job: exit code 0"),
    ],
)
def test_sbatch_refuses(site, capsys, sbatch, message):
    site(sbatch=sbatch)
    assert run_program(launch.main, ["slurm", "a.log", "true"]) == 1
    assert one_line(capsys.readouterr().err) == message


def test_no_slurm_here(site, tmp_path, capsys):
    (tmp_path / "conf/slurm.conf").write_text("command no-such-sbatch\n")
    assert run_program(launch.main, ["slurm", "--check"]) == 1
    message = "there is no no-such-sbatch here, the command of conf/slurm.conf; start this where Slurm is"
    assert one_line(capsys.readouterr().err) == f"launch: error: {message}"


@pytest.mark.parametrize(
    ("squeue", "state"),
    [(FORGOTTEN, "FORGOTTEN"), ("echo '1 NODE_FAIL None'; echo '2 CANCELLED by 0'", "NODE_FAIL")],
)
def test_job_that_vanishes_is_a_failure(site, tmp_path, capsys, squeue, state):
    site(sbatch="echo 7", squeue=squeue)
    assert launch.main(["slurm", "JOB=1:2", "x.JOB.log", "true"]) == 1
    log = (tmp_path / "x.1.log").read_text()
    assert f"# Slurm has ended this job ({state}); it left no exit code\n" in log and "Ended (code 1)" in log
    assert "2 / 2 failed" in capsys.readouterr().err


def test_squeue_that_fails_is_waited_for(site, tmp_path, capsys):
    """A job that is requeued is waited for too; its exit code comes when it does."""
    answers = "[123]) echo 'Socket timed out' >&2; exit 1 ;; 4) echo N/A FAILED N ;; "
    answers += "[567]) echo N/A PENDING JobHeldUser ;; *) echo N/A COMPLETED None ;;"
    late = "if (( $(grep -c squeue calls) == 7 )); then echo 0 > q/a.log.7; fi"
    site(sbatch="echo 7", squeue=f"{late}\ncase $(grep -c squeue calls) in {answers} esac")
    assert launch.main(["slurm", "a.log", "true"]) == 0
    error = capsys.readouterr().err
    assert error.count("squeue does not answer (Socket timed out); waiting for job 7 all the same") == 1
    assert error.count("job 7 may wait for ever: squeue says JobHeldUser") == 1


def test_job_that_runs_again_after_its_end_is_waited_for(site, tmp_path):
    """An exit code ends the waiting when Slurm says that the job has ended: it may have been requeued by hand."""
    answers = "[123]) echo '2 RUNNING None' ;; 4) echo 3 > q/x.2.log.7_2; echo '2 RUNNING None' ;; "
    answers += "*) echo '1 COMPLETED None'; echo '2 COMPLETED None' ;;"
    site(sbatch="mkdir -p q; echo 0 | tee q/x.1.log.7_1 > q/x.2.log.7_2; echo 7",
         squeue=f"case $(grep -c squeue calls) in {answers} esac")  # fmt: skip
    assert launch.main(["slurm", "JOB=1:2", "x.JOB.log", "bash", "-c", "true"]) == 1
    assert len(calls(tmp_path, "squeue")) == 5
    assert sorted(path.name for path in (tmp_path / "q").iterdir()) == ["x.JOB.log.sh"], "exit codes are taken away"


def test_exit_codes_are_enough_when_squeue_fails(site):
    """After a while the launcher does not wait for a squeue that never answers."""
    site(sbatch="mkdir -p q; echo 0 > q/a.log.7; echo 7", squeue="exit 1")
    assert launch.main(["slurm", "a.log", "true"]) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_cancels_the_whole_array(site, tmp_path, capsys, number):
    squeue = f"if [[ -e gone ]]; then {FORGOTTEN} fi; kill -{int(number)} $PPID; echo '1 RUNNING N'"
    site(sbatch="echo 7", squeue=squeue, scancel="touch gone")
    assert launch.main(["slurm", "JOB=1:2", "x.JOB.log", "true"]) == 128 + number
    assert calls(tmp_path, "scancel") == ["7"]
    assert "interrupted; all jobs are ended" in capsys.readouterr().err
    assert not (tmp_path / "q/x.JOB.log.job").exists()


def test_job_of_a_launcher_that_was_killed(site, tmp_path, capsys):
    (tmp_path / "q").mkdir()
    (tmp_path / "q/a.log.job").write_text("5\n")
    (tmp_path / "a.log").write_text("at work\n")
    site(squeue="echo 'N/A RUNNING None'")
    assert run_program(launch.main, ["slurm", "a.log", "true"]) == 1
    assert "job 5 of an earlier run still writes a.log; wait, or: scancel 5" in one_line(capsys.readouterr().err)
    assert (tmp_path / "a.log").read_text() == "at work\n"
    site(squeue=FORGOTTEN)
    assert launch.main(["slurm", "a.log", "true"]) == 0


# --- what runs on the node ----------------------------------------------------------------------------------------


def start_job(tmp_path, *command, restarts=3, before=0, task="7"):
    words = [sys.executable, "-m", "omni_asr.jobs.slurm_job", "--log", "log/a.log", "--number", "1", "--id", task]
    words += ["--nodes", "1", "--restarts", str(restarts), "--", *command]
    environment = dict(os.environ, SLURM_JOB_ID="7", SLURM_RESTART_COUNT=str(before))
    return subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ("command", "restarts", "before", "requeued", "code"),
    [
        ("exit 0", 3, 0, False, 0),
        ("exit 1", 3, 0, False, 1),
        ("exit 255", 3, 0, False, 255),
        ("kill -9 $$", 3, 2, True, 137),
        ("kill -9 $$", 3, 3, False, 137),
        ("kill -9 $$", 0, 0, False, 137),
        ("exit 130", 1, 0, True, 130),
    ],
)
def test_what_is_started_again(site, tmp_path, command, restarts, before, requeued, code):
    process = start_job(tmp_path, "bash", "-c", command, restarts=restarts, before=before)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == code and f"# Ended (code {code}) at " in out
    left = tmp_path / "log/q/a.log.7"
    if requeued:
        assert calls(tmp_path, "scontrol") == ["requeue 7"] and not left.exists()
        assert f"# To be started again by Slurm, {before + 1} of at most 3 times" in out or restarts == 1
    else:
        assert left.read_text() == f"{code}\n" and not (tmp_path / "calls").exists()


def test_last_job_of_an_array_requeues_itself_alone(site, tmp_path):
    """Its SLURM_JOB_ID is 7 as the array's, and `scontrol requeue 7` would start every job again."""
    out, _ = start_job(tmp_path, "bash", "-c", "kill -9 $$", task="7_3").communicate(timeout=20)
    assert "# To be started again by Slurm" in out
    assert calls(tmp_path, "scontrol") == ["requeue 7_3"]


def test_exit_code_of_an_earlier_start_is_taken_away(site, tmp_path):
    (tmp_path / "log/q").mkdir(parents=True)
    (tmp_path / "log/q/a.log.7").write_text("0\n")
    process = start_job(tmp_path, "bash", "-c", "test ! -e log/q/a.log.7 && exit 5")
    process.communicate(timeout=20)
    assert process.returncode == 5 and (tmp_path / "log/q/a.log.7").read_text() == "5\n"


def test_slurm_does_not_start_it_again(site, tmp_path):
    site(scontrol="echo 'Requested operation is presently disabled' >&2; exit 1")
    out, _ = start_job(tmp_path, "bash", "-c", "kill -9 $$").communicate(timeout=20)
    assert "# Slurm does not start it again: Requested operation is presently disabled" in out
    assert (tmp_path / "log/q/a.log.7").read_text() == "137\n"


def test_command_that_is_not_there(site, tmp_path):
    out, _ = start_job(tmp_path, "no-such-command").communicate(timeout=20)
    assert "no-such-command: No such file or directory" in out
    assert (tmp_path / "log/q/a.log.7").read_text() == "127\n"


@pytest.mark.parametrize(("number", "requeued"), [(signal.SIGUSR1, True), (signal.SIGTERM, False)])
def test_time_limit_is_near_or_slurm_ends_the_job(site, tmp_path, number, requeued):
    """The warning reaches the command as SIGTERM. SIGTERM of Slurm's own reaches all, and is not handed on."""
    script = "trap 'echo saved; exit 4' TERM; touch up; while [[ ! -e stop ]]; do sleep 0.05; done; exit 9"
    process = start_job(tmp_path, "bash", "-c", script)
    wait_for((tmp_path / "up").exists)
    process.send_signal(number)
    if number == signal.SIGTERM:
        (tmp_path / "stop").touch()
    out, _ = process.communicate(timeout=20)
    assert ("\nsaved\n" in out) == requeued
    assert (tmp_path / "calls").exists() == requeued
    assert not (tmp_path / "log/q").exists(), "no exit code: the job may come back"


def test_cluster_for_tests_says_what_is_missing(tmp_path):
    for name in ("bash", "id"):
        (tmp_path / name).symlink_to(shutil.which(name))
    words = [ROOT / "tools/slurm_test_cluster.sh", "start", tmp_path / "state"]
    process = subprocess.run(words, env={"PATH": str(tmp_path)}, capture_output=True, text=True)
    assert process.returncode == 1 and process.stderr.count("\n") == 1
    assert "install it: apt-get install --no-install-recommends slurm-wlm munge" in process.stderr
    assert not (tmp_path / "state").exists()
