"""show-config: what it prints, and what it refuses."""

import subprocess
import sys

import pytest
import yaml

from omni_asr.bin import run_program, show_config


@pytest.fixture
def conf(tmp_path):
    path = tmp_path / "base.yaml"
    path.write_text("model: {experts: 2x4, dim: 32, hidden: 64, heads: 2}\n")
    return str(path)


def test_the_complete_configuration_is_printed(conf, capsys):
    assert run_program(show_config.main, ["--config", conf, "--set", "model.router=switch"]) == 0
    tree = yaml.safe_load(capsys.readouterr().out)
    assert (tree["model"]["router"], tree["model"]["dim"], tree["train"]["seed"]) == ("switch", 32, 1)


def test_quiet_prints_nothing_and_a_huge_model_takes_no_memory(conf, capsys):
    options = ["--quiet", "--config", conf, "--set", "model.experts=48x64", "--set=model.hidden=65536"]
    assert run_program(show_config.main, options) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "override", ["model.experts=4y4", "model.heads=3", "model.heads=0", "model.hidden=-1", "model.router=omnii"]
)
def test_options_that_give_no_model_are_one_line(conf, override, capsys):
    assert run_program(show_config.main, ["--quiet", "--config", conf, "--set", override]) == 1
    error = capsys.readouterr().err
    assert "model" in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("model.router", "omni"),
        ("model.dim", "32"),
        ("model.causal", "false"),
        ("optim.betas", "[0.9, 0.98]"),
        ("train.init", ""),
    ],
)
def test_one_option_is_printed_as_a_shell_reads_it(conf, option, text, capsys):
    assert run_program(show_config.main, ["--config", conf, "--get", option]) == 0
    assert capsys.readouterr().out == f"{text}\n"


def test_an_option_that_does_not_exist_is_one_line(conf, capsys):
    assert run_program(show_config.main, ["--config", conf, "--get", "model.routers"]) == 1
    assert "--get model.routers: there is no such option" in capsys.readouterr().err


def test_one_option_is_read_without_torch(conf):
    script = f"""
import sys
from omni_asr.bin import show_config
show_config.main(["--config", {conf!r}, "--get", "model.router"])
sys.exit("torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
