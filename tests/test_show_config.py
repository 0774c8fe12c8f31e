"""show-config: what it prints, and what it refuses."""

import pytest
import yaml

from omni_asr.bin import run_program, show_config


@pytest.fixture
def conf(tmp_path):
    path = tmp_path / "base.yaml"
    path.write_text("model: {experts: 2x4, dim: 32, hidden: 64, heads: 2}\n")
    return str(path)


def test_the_complete_configuration_is_printed(conf, capsys):
    assert run_program(show_config.main, [conf, "model.router=switch"]) == 0
    tree = yaml.safe_load(capsys.readouterr().out)
    assert (tree["model"]["router"], tree["model"]["dim"], tree["train"]["seed"]) == ("switch", 32, 1)


def test_quiet_prints_nothing_and_a_huge_model_takes_no_memory(conf, capsys):
    assert run_program(show_config.main, ["--quiet", conf, "model.experts=48x64", "model.hidden=65536"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "override", ["model.experts=4y4", "model.heads=3", "model.heads=0", "model.hidden=-1", "model.router=omnii"]
)
def test_options_that_give_no_model_are_one_line(conf, override, capsys):
    assert run_program(show_config.main, ["--quiet", conf, override]) == 1
    error = capsys.readouterr().err
    assert "model" in error and error.count("\n") == 1
