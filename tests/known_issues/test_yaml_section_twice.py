"""PyYAML keeps the last of two equal keys: the first ``model:`` of a file was forgotten and another model trained."""

import pytest

from omni_asr.analysis.benchmark import read_plan
from omni_asr.config import load_config
from omni_asr.errors import UserError
from omni_asr.yaml_files import DEEPEST, read_yaml

TWICE = "model:\n  experts: 2x8\n  dim: 128\noptim:\n  lr: 5e-4\nmodel:\n  heads: 2\n"


def error_of(call, *arguments):
    with pytest.raises(UserError) as caught:
        call(*arguments)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 300
    return message


@pytest.fixture
def path(tmp_path):
    return tmp_path / "c.yaml"


def test_a_section_that_is_given_twice_names_both_lines(path):
    path.write_text(TWICE)
    message = error_of(load_config, path)
    assert message == f"{path}:6: not valid YAML: 'model' is given a second time, first in line 1; join the two"


@pytest.mark.parametrize("text", ["optim: {lr: 1e-3, lr: 1e-4}", "optim:\n  lr: 1e-3\n  'lr': 1e-4\n"])
def test_a_key_within_a_section_is_given_once(path, text):
    path.write_text(text)
    assert "'lr' is given a second time" in error_of(load_config, path)
    assert "'lr' is given a second time" in error_of(load_config, None, ["optim={lr: 1, lr: 2}".replace("=", ".x=", 1)])


def test_every_yaml_file_is_read_so(path):
    path.write_text("regime: whisper\ncolumns: []\nregime: verbatim\n")
    assert f"{path}:3: not valid YAML: 'regime' is given a second time" in error_of(read_plan, path)


@pytest.mark.parametrize(
    "value", ["2024-99-99", "!!int x", "!!bool x", "!!timestamp 1", "!!float x", "9" * 5000, '"\\ud800"']
)
def test_values_that_pyyaml_fails_on_are_one_line(path, value):
    path.write_text(f"optim:\n  lr: {value}\n")
    assert error_of(load_config, path).startswith(f"{path}:2: not valid YAML: the value ")
    assert "the value is not valid YAML" in error_of(load_config, None, [f"optim.lr={value}"])


def test_a_number_that_no_float_can_hold(path):
    path.write_text(f"optim:\n  lr: {'9' * 400}\n")
    assert "optim.lr must be a finite number" in error_of(load_config, path)


@pytest.mark.parametrize("value", ["[" * 2000, "{a: " * 500])
def test_deep_nesting_is_refused(path, value):
    path.write_text(f"optim:\n  lr: {value}\n")
    assert f"nested deeper than {DEEPEST} levels" in error_of(load_config, path)


def test_aliases_are_refused_before_they_multiply(path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    path.write_text("\n".join(lines))
    assert f"{path}:2: not valid YAML: an alias" in error_of(load_config, path)


def test_plain_values_are_as_pyyaml_reads_them(path):
    path.write_text("a: {b: [1, 2.5, yes, ~, x], 1: '2'}\nc: 1e-3\n")
    assert read_yaml(path) == {"a": {"b": [1, 2.5, True, None, "x"], 1: "2"}, "c": "1e-3"}
