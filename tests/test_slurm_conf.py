"""conf/slurm.conf: what requests become, and what is wrong in a file."""

import pytest

from omni_asr.errors import UserError
from omni_asr.jobs.slurm_conf import find_conf, read_conf

ESPNET = """\
# Default configuration
command sbatch --export=PATH
option time=* --time $0
option mem=* --mem-per-cpu $0
option mem=0
option num_threads=* --cpus-per-task $0
option num_threads=1 --cpus-per-task 1
default gpu=0
option gpu=0 -p cpu
option gpu=* -p gpu --gres=gpu:$0 -c $0  # Recommend more CPU than GPU

option note=* --comment "a # $0 'b'"
option max_jobs_run=*
"""


@pytest.fixture
def conf(tmp_path):
    (tmp_path / "slurm.conf").write_text(ESPNET)
    return read_conf(tmp_path / "slurm.conf")


@pytest.mark.parametrize(
    ("asked", "arguments"),
    [
        ({}, "-p cpu"),
        ({"gpu": "2"}, "-p gpu --gres=gpu:2 -c 2"),
        ({"mem": "4G", "num_threads": "1"}, "-p cpu --mem-per-cpu 4G --cpus-per-task 1"),
        ({"mem": "0", "num_threads": "8", "gpu": "0"}, "-p cpu --cpus-per-task 8"),
    ],
)
def test_requests_become_arguments(conf, asked, arguments):
    assert conf.command == ["sbatch", "--export=PATH"]
    assert conf.arguments(asked) == arguments.split()


def test_values_and_quoted_words_stay_whole(conf):
    assert conf.arguments({"gpu": "0", "note": "x $(y); z"})[-2:] == ["--comment", "a # x $(y); z 'b'"]


def test_option_without_a_line(conf):
    with pytest.raises(UserError, match=r"slurm\.conf has no line for --qos long; add one: option qos=\* \.\.\. \$0"):
        conf.arguments({"qos": "long"})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("optoin mem=* --mem $0", "slurm.conf:2: expected command PROGRAM"),
        ("option mem --mem $0", "slurm.conf:2: expected command PROGRAM"),
        ("command", "slurm.conf:2: expected command PROGRAM"),
        ("default gpu=0 -p cpu", "slurm.conf:2: expected command PROGRAM"),
        ("option mem=* --mem '$0", "slurm.conf:2: No closing quotation in 'option mem"),
    ],
)
def test_malformed_line_is_named(tmp_path, line, message):
    (tmp_path / "slurm.conf").write_text(f"# first\n{line}\ncommand sbatch\n")
    with pytest.raises(UserError) as error:
        read_conf(tmp_path / "slurm.conf")
    assert message in str(error.value) and "\n" not in str(error.value)


def test_file_without_a_command(tmp_path):
    (tmp_path / "slurm.conf").write_text("default gpu=0\n")
    with pytest.raises(UserError, match="has no line 'command sbatch"):
        read_conf(tmp_path / "slurm.conf")


def test_a_recipes_own_file_wins(tmp_path, monkeypatch):
    (tmp_path / "TEMPLATE/conf").mkdir(parents=True)
    (tmp_path / "toy/conf").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "toy")
    with pytest.raises(UserError, match="there is no conf/slurm.conf here; name one with --config"):
        find_conf(None)
    (tmp_path / "TEMPLATE/conf/slurm.conf").touch()
    assert str(find_conf(None)) == "../TEMPLATE/conf/slurm.conf"
    (tmp_path / "toy/conf/slurm.conf").touch()
    assert str(find_conf(None)) == "conf/slurm.conf"
    with pytest.raises(UserError, match="there is no other.conf, which --config names"):
        find_conf("other.conf")


def test_the_file_of_all_recipes(root):
    conf = read_conf(root / "egs/TEMPLATE/conf/slurm.conf")
    asked = {"mem": "4G", "num_threads": "2", "gpu": "3", "partition": "big", "time": "1:0:0"}
    arguments = "--gres=gpu:3 --mem 4G --cpus-per-task 2 --partition big --time 1:0:0"
    assert conf.arguments(asked) == arguments.split()
    assert conf.arguments({"mem": "0"}) == []
