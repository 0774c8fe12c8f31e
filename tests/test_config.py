import dataclasses
import itertools
from pathlib import Path

import pytest
import yaml

from omni_asr import config as config_module
from omni_asr.config import Config, config_from_dict, config_to_dict, load_config
from omni_asr.errors import UserError


@pytest.fixture
def yaml_file(tmp_path):
    def write(text):
        path = tmp_path / "conf.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def error_of(path, overrides=()):
    with pytest.raises(UserError) as caught:
        load_config(path, overrides)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_without_a_file_every_field_has_its_default():
    assert load_config(None) == Config()


def test_an_empty_file_and_an_empty_section_are_defaults(yaml_file):
    assert load_config(yaml_file("# nothing differs\n")) == Config()
    assert load_config(yaml_file("model:\n")) == Config()


def test_a_file_changes_what_it_names_and_nothing_else(yaml_file):
    config = load_config(yaml_file("model:\n  dim: 128\n  experts: 4x2-4x4\noptim: {lr: 2e-3, betas: [0.9, 0.95]}\n"))
    expected = Config()
    expected.model.dim, expected.model.experts = 128, "4x2-4x4"
    expected.optim.lr, expected.optim.betas = 0.002, (0.9, 0.95)
    assert config == expected


def test_overrides_come_last(yaml_file):
    path = yaml_file("optim: {lr: 0.1}\n")
    config = load_config(path, ["optim.lr=2e-3", "model.router=switch", "optim.betas=[0.8, 0.9]", "optim.lr=1e-4"])
    assert (config.optim.lr, config.model.router, config.optim.betas) == (1e-4, "switch", (0.8, 0.9))


def test_an_unknown_key_names_the_nearest(yaml_file):
    message = error_of(yaml_file("model:\n  droput: 0.2\n"))
    assert "conf.yaml" in message
    assert "unknown key model.droput; did you mean model.dropout?" in message


def test_an_unknown_section_names_the_nearest(yaml_file):
    assert "unknown key modle; did you mean model?" in error_of(yaml_file("modle: {dim: 8}\n"))


def test_a_key_near_to_none_lists_the_known_ones(yaml_file):
    message = error_of(yaml_file("decode: {zzz: 1}\n"))
    assert "unknown key decode.zzz; known: batch_frames" in message


def test_an_unknown_key_in_an_override_is_an_error_too():
    assert "did you mean optim.lr?" in error_of(None, ["optim.lrr=1"])


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("model.dim=wide", "model.dim must be of type int, not 'wide'"),
        ("model.dim=2.5", "model.dim must be of type int, not 2.5"),
        ("model.dim=true", "model.dim must be of type int, not True"),
        ("model.dim=", "model.dim must be of type int, not None"),
        ("optim.lr=fast", "optim.lr must be a finite number, not 'fast'"),
        ("optim.lr=.nan", "optim.lr must be a finite number, not nan"),
        ("optim.lr=.inf", "optim.lr must be a finite number, not inf"),
        (f"optim.lr={'9' * 400}", "optim.lr must be a finite number"),
        ("optim.betas=[0.9, .nan]", "optim.betas must be a finite number, not nan"),
        ("optim.lr=false", "optim.lr must be of type float, not False"),
        ("optim.betas=0.9", "optim.betas must be a list of 2 values"),
        ("optim.betas=[0.9]", "optim.betas must be a list of 2 values"),
        ("model.experts=4", "model.experts must be of type str, not 4"),
        ("model.backend=gruped", "must be one of auto, loop, fused, grouped, bmm; did you mean grouped?"),
        ("train.select_by=loss", "must be one of wer, ctc"),
    ],
)
def test_a_wrong_type_is_named(override, part):
    assert part in error_of(None, [override])


def test_an_integer_is_a_number_and_so_is_yaml_1_1_scientific_notation(yaml_file):
    config = load_config(yaml_file("optim:\n  lr: 1e-3\n  eps: 1\n"))
    assert (config.optim.lr, config.optim.eps) == (0.001, 1.0)
    assert isinstance(config.optim.eps, float)


@pytest.mark.parametrize("override", ["optim.lr", "lr=1e-3", "=", "optim.=3", ""])
def test_an_override_of_another_form_shows_the_form(override):
    assert "write section.key=value" in error_of(None, [override])


def test_errors_name_the_file_or_the_option(yaml_file):
    path = yaml_file("model: {dim: 8}\n")
    assert error_of(path, ["model.dmi=8"]).startswith("--set: unknown key model.dmi; did you mean model.dim?")
    assert error_of(yaml_file("model: {dmi: 8}\n"), ["model.dim=8"]).startswith(f"{path}: unknown key model.dmi")
    assert "section model must hold keys" in error_of(yaml_file("model: big\n"), ["model.dim=8"])


@pytest.mark.parametrize("text", ["model: big\n", "model: [1, 2]\n"])
def test_a_section_without_keys(yaml_file, text):
    assert "section model must hold keys" in error_of(yaml_file(text))


@pytest.mark.parametrize("text", ["- model\n- optim\n", "just words\n"])
def test_a_file_without_sections(yaml_file, text):
    assert "expected sections such as 'model:'" in error_of(yaml_file(text))


def test_a_file_that_is_not_yaml(yaml_file):
    assert "conf.yaml:3: not valid YAML" in error_of(yaml_file("model: {dim: 8\noptim\n"))


def test_a_missing_file(tmp_path):
    message = error_of(tmp_path / "absent.yaml")
    assert "absent.yaml" in message
    assert "does not exist" in message


@pytest.mark.parametrize(("section", "source"), [("features", "fbank.conf"), ("tokens", "--token_type")])
def test_sections_read_from_the_data_are_refused(yaml_file, section, source):
    assert source in error_of(yaml_file(f"{section}: {{}}\n"))
    assert source in error_of(None, [f"{section}.type=char"])


def test_the_written_configuration_reads_back_the_same():
    config = load_config(None, ["model.router=dense", "optim.betas=[0.5, 0.75]", "optim.lr=3e-4"])
    config.features.dither, config.tokens.type = 1.0, "char"
    text = yaml.safe_dump(config_to_dict(config))
    assert config_from_dict(yaml.safe_load(text)) == config


def test_sections_are_not_shared_between_configurations():
    first, second = Config(), Config()
    first.model.dim = 1
    assert second.model.dim != 1


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("model.dropout=1.5", "model.dropout must be from 0 to 0.95, not 1.5"),
        ("train.average=0", "train.average must be at least 1, not 0"),
        ("optim.betas=[0.9, 2]", "optim.betas must be from 0 to below 1, not 2.0"),
        ("optim.betas=[1.0, 0.98]", "optim.betas must be from 0 to below 1, not 1.0"),
        ("model.layer_drop=1", "model.layer_drop must be from 0 to below 1, not 1.0"),
        ("train.ema=1", "train.ema must be from 0 to below 1, not 1.0"),
        ("data.max_removed=1.1", "data.max_removed must be from 0 to 1, not 1.1"),
        ("model.cape_max_scale=0", "model.cape_max_scale must be at least 1"),
        ("model.experts={", "the value is not valid YAML"),
        ("optim.lr=*x", "the value is not valid YAML"),
    ],
)
def test_values_out_of_bounds_are_one_line(setting, message):
    with pytest.raises(UserError) as caught:
        load_config(None, [setting])
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert "None" not in str(caught.value)


def test_every_field_has_a_default_and_a_line_that_explains_it():
    lines = Path(config_module.__file__).read_text(encoding="utf-8").splitlines()
    explained = {
        line.split(":")[0].strip()
        for line, after in itertools.pairwise(lines)
        if after.startswith('    """') and ": " in line
    }
    fields = {field.name for section in dataclasses.fields(Config) for field in dataclasses.fields(section.type)}
    assert len(fields) > 40
    assert fields - explained == set()
