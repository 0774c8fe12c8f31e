import importlib
import os
import subprocess
import sys

import pytest

import omni_asr
from omni_asr import bin
from omni_asr.bin import COMMANDS, ArgumentParser, cli, run_program


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"omni-asr {omni_asr.__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_the_listing_names_every_program_with_its_first_line(capsys, arguments):
    assert cli.main(arguments) == 0
    out = capsys.readouterr().out
    programs = cli.programs()
    assert "train" in programs and "make-fbank" in programs and "cli" not in programs
    for name, line in programs.items():
        assert f"  {name}" in out
        assert line in out


def test_every_program_has_one_line_that_says_what_it_does():
    unexplained = [name for name, line in cli.programs().items() if not line.endswith(".")]
    assert unexplained == []


def test_an_unknown_program_names_the_nearest(capsys):
    assert cli.main(["trian"]) == 2
    assert capsys.readouterr().err == "omni-asr: error: no program named 'trian'; did you mean train?\n"


def test_a_name_near_to_none_points_to_the_list(capsys):
    assert cli.main(["qqqqqq"]) == 2
    assert "omni-asr --help lists them" in capsys.readouterr().err


@pytest.fixture
def program(monkeypatch, tmp_path):
    """Make ``omni-asr try-me`` run a ``main`` of the given source."""

    def make(body):
        source = f'"""Do a thing."""\nfrom omni_asr.errors import UserError\n\n\ndef main(argv=None):\n    {body}\n'
        (tmp_path / "try_me.py").write_text(source)
        monkeypatch.setattr(bin, "__path__", [*bin.__path__, str(tmp_path)])
        monkeypatch.delitem(sys.modules, "omni_asr.bin.try_me", raising=False)
        monkeypatch.setattr(cli, "programs", lambda: {"try-me": "Do a thing."})
        monkeypatch.setattr(sys, "argv", ["omni-asr"])
        return ["try-me"]

    return make


def test_a_user_error_is_one_line_and_status_1(program, capsys):
    assert cli.main(program('raise UserError("data/train/wav.scp is missing; run stage 1")')) == 1
    assert capsys.readouterr().err == "try-me: error: data/train/wav.scp is missing; run stage 1\n"


def test_underscores_name_a_program_too(program, capsys):
    program('print("done", argv)')
    assert cli.main(["try_me", "a b"]) == 0
    assert capsys.readouterr().out == "done ['a b']\n"


def test_ctrl_c_is_one_line_and_status_130(program, capsys):
    assert cli.main(program("raise KeyboardInterrupt")) == 130
    assert capsys.readouterr().err == "try-me: interrupted\n"


def test_the_status_of_main_is_passed_on(program):
    assert cli.main(program("return 3")) == 3


def test_a_defect_of_the_program_keeps_its_traceback(program):
    with pytest.raises(ZeroDivisionError):
        cli.main(program("1 / 0"))


def test_options_are_spelt_with_dashes_or_underscores():
    parser = ArgumentParser("Do a thing.")
    parser.add_argument("--exp-dir")
    parser.add_argument("--set", action="append")
    options = parser.parse_args(["--exp_dir", "exp/a_b", "--set=model.hidden=8", "--set", "train.log_every=1"])
    assert options.exp_dir == "exp/a_b"
    assert options.set == ["model.hidden=8", "train.log_every=1"]


@pytest.mark.parametrize("arguments", [["--exp-dri", "x"], ["--exp-dir"], ["--exp", "x"]])
def test_a_wrong_option_is_one_line_and_status_2(capsys, arguments):
    parser = ArgumentParser("Do a thing.")
    parser.add_argument("--exp-dir")
    with pytest.raises(SystemExit) as exit_:
        parser.parse_args(arguments)
    error = capsys.readouterr().err
    assert exit_.value.code == 2
    assert error.count("\n") == 1
    assert "error: " in error


def test_a_program_run_as_a_module_names_itself(root, tmp_path):
    source = (
        '"""Do a thing."""\nimport sys\nfrom omni_asr.bin import run_program\nfrom omni_asr.errors import UserError\n'
        'def main(argv=None):\n    raise UserError("no such set")\n\n\nsys.exit(run_program(main))\n'
    )
    (tmp_path / "make_it.py").write_text(source)
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, tmp_path / "make_it.py"], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "make-it: error: no such set\n")


def test_a_reader_that_closes_the_pipe_early_is_no_error(root):
    command = f"{sys.executable} -m omni_asr.bin.cli --help | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=root)
    assert done.stdout.startswith("usage: omni-asr <program> [options]")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "module", ["omni_asr.bin.cli", "omni_asr.config", "omni_asr.kaldi", "omni_asr.jobs", "omni_asr.scoring"]
)
def test_programs_that_compute_nothing_start_without_torch(root, module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0


def test_a_main_that_returns_nothing_succeeded():
    assert run_program(lambda argv: None) == 0


@pytest.mark.parametrize("name", ["upcycle", "score", "subset", "errors", "launch"])
def test_help_keeps_commands_as_they_can_be_copied(name, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("sys.argv", ["omni-asr", name, "--help"])
    with pytest.raises(SystemExit):
        cli.main()
    shown = capsys.readouterr().out
    docstring = importlib.import_module(f"omni_asr.bin.{name.replace('-', '_')}").__doc__
    for paragraph in docstring.strip().split("\n\n"):
        if paragraph.startswith(COMMANDS):
            assert paragraph in shown
