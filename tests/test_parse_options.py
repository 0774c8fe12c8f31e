"""utils/parse_options.sh: what is accepted, what is refused, and that a value is never evaluated."""

import subprocess

import pytest
from recipe_helpers import ROOT

SCRIPT = """\
#!/usr/bin/env bash
# Says what it got.
#
#   toy.sh --nj 3
set -euo pipefail
# not in the help: code has begun

nj=4                        # Number of parallel jobs
dry_run=false               # Print only
# Where it is,
# in two lines
corpus_dir=corpus
phrase="a # b"              # What to "say"  # often
set=()                      # section.key=value
places=(here "over there")  # Where to look

nothing=
data_opts=(nj)
_hidden=1
Capital=1
source {utils}/parse_options.sh
late=1
for name in nj dry_run corpus_dir phrase set places nothing _hidden Capital; do
    declare -n variable=${{name}}
    printf '%s=' "${{name}}"
    printf '[%s]' "${{variable[@]}}"
    echo
done
printf 'rest='
printf '[%s]' "$@"
"""


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    path = tmp_path_factory.mktemp("options") / "toy.sh"
    path.write_text(SCRIPT.format(utils=ROOT / "egs/TEMPLATE/utils"))

    def run(*arguments):
        command = ["bash", str(path), *arguments]
        process = subprocess.run(command, capture_output=True, text=True, timeout=20, cwd=path.parent)
        assert not (path.parent / "pwned").exists(), "a value was evaluated"
        return process

    return run


def values(process):
    """Map each variable that the toy printed to its text."""
    assert process.returncode == 0, process.stderr
    return dict(line.split("=", 1) for line in process.stdout.splitlines())


def error(process):
    """The one line of an error."""
    assert process.returncode == 2
    assert process.stdout == ""
    assert process.stderr.count("\n") == 1
    return process.stderr


def test_defaults(toy):
    found = values(toy())
    assert found["nj"] == "[4]" and found["phrase"] == "[a # b]" and found["places"] == "[here][over there]"
    assert found["rest"] == "[]"


@pytest.mark.parametrize("option", ["--nj 8", "--nj=8", "--nj 2 --nj 8"])
def test_value_apart_or_joined_and_the_last_one_holds(toy, option):
    assert values(toy(*option.split()))["nj"] == "[8]"


@pytest.mark.parametrize("option", ["--corpus_dir", "--corpus-dir"])
def test_dash_and_underscore_are_the_same(toy, option):
    assert values(toy(option, "some-where_else"))["corpus_dir"] == "[some-where_else]"


@pytest.mark.parametrize(
    "value",
    [
        "two words",
        " $(touch pwned) ",
        "`touch pwned`",
        "'",
        '"',
        'it\'s "so"',
        "$HOME ${nj}",
        "a;b|c&",
        "*",
        "\\n\\",
        "",
    ],
)
def test_values_are_literal(toy, value):
    found = toy(f"--phrase={value}", "--set", value, f"--set={value}")
    assert values(found)["phrase"] == f"[{value}]"
    assert values(found)["set"] == f"[{value}][{value}]"
    assert values(toy("--phrase", value))["phrase"] == f"[{value}]"


def test_value_with_a_line_break(toy):
    assert "phrase=[one\ntwo]\n" in toy("--phrase", "one\ntwo").stdout


def test_repeated_array_option_replaces_the_default(toy):
    assert values(toy("--places", "a b", "--nj", "1", "--places=c"))["places"] == "[a b][c]"


def test_what_follows_the_options_is_left(toy):
    assert values(toy("--nj", "1", "file", "--nj", "2"))["rest"] == "[file][--nj][2]"
    assert values(toy("--nj", "1", "--", "--nj"))["rest"] == "[--nj]"


@pytest.mark.parametrize(
    ("option", "nearest"), [("--corpus", "corpus_dir"), ("--njj", "nj"), ("--dryrun=true", "dry_run"), ("--st", "set")]
)
def test_unknown_option_names_the_nearest(toy, option, nearest):
    assert f"unknown option {option.split('=')[0]}; did you mean --{nearest}?" in error(toy(option, "1"))


@pytest.mark.parametrize("name", ["data_opts", "_hidden", "Capital", "late", "PATH", "x[$(touch pwned)]", ""])
def test_other_variables_are_no_options(toy, name):
    assert "unknown option" in error(toy(f"--{name}=1"))


@pytest.mark.parametrize("arguments", [["--nj"], ["--nj", "--dry_run", "true"], ["--set"]])
def test_missing_value(toy, arguments):
    assert f"{arguments[0]} needs a value" in error(toy(*arguments))


def test_value_that_looks_like_an_option(toy):
    assert "write --phrase=--nj" in error(toy("--phrase", "--nj"))
    assert values(toy("--phrase=--nj"))["phrase"] == "[--nj]"
    assert values(toy("--phrase", "-1"))["phrase"] == "[-1]"


@pytest.mark.parametrize("value", ["yes", "True", "1", ""])
def test_bad_boolean(toy, value):
    assert f"--dry_run must be true or false, not '{value}'" in error(toy("--dry-run", value))


def test_help_lists_every_option_with_default_and_comment(toy):
    process = toy("--nj", "9", "--help")
    assert process.returncode == 0 and process.stderr == ""
    lines = [" ".join(line.split()) for line in process.stdout.splitlines()]
    assert lines[1:4] == ["Says what it got.", "", "toy.sh --nj 3"]
    assert "not in the help: code has begun" not in process.stdout
    assert lines[lines.index("options of toy.sh:") + 1 :] == [
        "--nj Number of parallel jobs (default: 4)",
        "--dry_run Print only (default: false)",
        "--corpus_dir Where it is, in two lines (default: corpus)",
        '--phrase What to "say" # often (default: a # b)',
        "--set section.key=value (may be repeated; default: none)",
        "--places Where to look (may be repeated; default: here over there)",
        "--nothing (default: none)",
    ]
