"""What the recipes call: every program's own parser understands the words that a dry run prints."""

import argparse
import importlib
import importlib.util
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from recipe_helpers import ROOT

from omni_asr.bin import launch

STAGES = {
    "launch", "make_fbank", "collect_feats", "compute_cmvn", "train_tokenizer", "validate", "split", "perturb_speed",
    "train", "decode", "score", "results", "analyze_routing", "errors", "report",
}  # fmt: skip
SCRIPTS = {
    "mini": {"local/download.sh": "synthesise", "local/data.sh": "prepare"},
    "fsdd": {"local/data.sh": "prepare"},
}


class Parsed(Exception):
    """The command line was understood."""


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable, list[str]], None]:
    """Run a ``main`` until its command line is parsed."""
    original = argparse.ArgumentParser.parse_args

    def parse_and_stop(self, args=None, namespace=None):
        original(self, args, namespace)
        raise Parsed

    def run(main: Callable, arguments: list[str]) -> None:
        with pytest.raises(Parsed):
            main(arguments)

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_and_stop)
    return run


def commands_of(recipe: str, *options: str) -> list[list[str]]:
    """The commands that a dry run prints, in words."""
    command = [str(ROOT / "egs" / recipe / "run.sh"), "--dry_run", "true", *options]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [shlex.split(line) for line in lines if " (run.sh:" not in line]


def calls_of(words: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Names of programs and their arguments; what the launcher starts comes after the launcher."""
    while words[0] == "env" or "=" in words[0]:
        words = words[1:]
    if words[:2] != ["python", "-m"]:
        yield words[0], words[1:]
        return
    name, arguments = words[2].removeprefix("omni_asr.bin."), words[3:]
    yield name, arguments
    if name == "launch":
        _, _, rest = launch.split_command_line(arguments)
        assert rest[0].endswith(".log")
        yield from calls_of(rest[1:])


def local_main(recipe: str, name: str) -> Callable:
    """``main`` of a program in the recipe's folder local/."""
    path = ROOT / "egs" / recipe / "local" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"{recipe}_{name}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


@pytest.mark.parametrize(
    ("recipe", "options"),
    [
        ("mini", ["--size", "tiny", "--set", "optim.lr=1e-3", "--set", "decode.batch_frames=9"]),
        ("mini", ["--token_type", "char", "--speed_perturb", "true", "--cmd", "local --max_jobs 2"]),
        ("fsdd", []),
        ("fsdd", ["--split", "speaker", "--held_out", "george", "--ngpu", "0"]),
        ("fsdd", ["--cmd", "slurm --partition gpu", "--nnodes", "2", "--ngpu", "4"]),
    ],
)
def test_every_call_is_understood(recipe, options, parse, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "egs" / recipe / "local"))
    monkeypatch.setattr(sys, "argv", ["test"])
    seen = set()
    for words in commands_of(recipe, *options):
        for name, arguments in calls_of(words):
            if name == "mv":
                assert len(arguments) == 2
                continue
            if name in SCRIPTS[recipe]:
                main = local_main(recipe, SCRIPTS[recipe][name])
            elif name == "local/download.sh":
                continue
            else:
                name = "score" if name.endswith("local/score.sh") else name
                main = importlib.import_module(f"omni_asr.bin.{name}").main
            parse(main, arguments)
            seen.add(name)
    assert seen - set(SCRIPTS[recipe]) == STAGES


def test_arguments_of_a_check_by_the_recipe_are_understood(parse):
    """The two programs that check options are not printed in a dry run."""
    text = (ROOT / "egs/TEMPLATE/recipe.sh").read_text()
    assert 'omni_asr.bin.show_config --quiet --config "${config}" "${overrides[@]}"' in text
    show_config = importlib.import_module("omni_asr.bin.show_config")
    parse(
        show_config.main, ["--quiet", "--config", "conf/base.yaml", "--set", "model.router=omni", "--set", "optim.lr=1"]
    )
    assert 'omni_asr.bin.launch "${_back_end[@]}" --check' in text
    parse(launch.main, ["local", "--max_jobs", "2", "--check"])


def test_training_is_given_the_test_sets_and_the_limit_of_their_text():
    options = ["--test_sets", "test dev", "--max_unknown", "0.2", "--set", "decode.batch_frames=9"]
    calls = {name: words for line in commands_of("mini", *options) for name, words in calls_of(line)}
    train, decode = calls["train"], calls["decode"]
    assert [word for word in train if word.startswith("--test-dir")] == ["--test-dir=data/test", "--test-dir=data/dev"]
    for words in (train, decode):
        assert "decode.max_unknown=0.2" in words and "decode.batch_frames=9" in words
