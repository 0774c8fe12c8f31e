"""Files of which one byte or line is wrong, or which another program wrote: one line each, never a traceback."""

import io
import json
import struct
import tarfile
import zipfile

import pytest
import torch
from report_helpers import make_experiment

from omni_asr.analysis.experiment import read_experiment, siblings
from omni_asr.bin import decode, report, results, run_program, status
from omni_asr.corpora.download import unpack
from omni_asr.errors import UserError
from omni_asr.features.cmvn import read_cmvn_stats
from omni_asr.kaldi.data_dir import DataDir
from omni_asr.kaldi.rename import perturb_speed
from omni_asr.kaldi.subset import shortest
from omni_asr.models.package import load_package
from omni_asr.scoring.results import read_rate
from omni_asr.text.tokenizer import load_tokenizer, save_tokenizer, train_tokenizer
from omni_asr.training.checkpoint import Checkpoints, Position, load_checkpoint
from omni_asr.training.logging import TrainLog

CPU = torch.device("cpu")


def error_of(capsys, program, *arguments):
    capsys.readouterr()
    assert run_program(program.main, [str(argument) for argument in arguments]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and len(error) < 400
    return error


@pytest.fixture
def exp(tmp_path):
    return make_experiment(tmp_path)


@pytest.mark.parametrize("content", ["# Results café\n".encode("latin-1"), "# Results\n".encode("utf-16")])
def test_results_in_another_encoding(exp, tmp_path, capsys, content):
    path = tmp_path / "RESULTS.md"
    path.write_bytes(content)
    assert f"{path}:1: not UTF-8 (byte 0x" in error_of(capsys, results, "--exp-dir", exp, "--results", path, "test")
    assert path.read_bytes() == content


def test_damaged_rates_and_intervals(exp, tmp_path, capsys):
    options = ("--exp-dir", exp, "--results", tmp_path / "R.md", "test")
    ci = exp / "decode_test/scoring/ci"
    ci.write_text(ci.read_text().replace(" ]", "] ]", 1))
    assert f"{ci} is not a file of intervals" in error_of(capsys, results, *options)
    rate = f"{read_rate(exp / 'decode_test/wer').percent:.2f}"
    assert run_program(report.main, [str(exp), "test"]) == 0
    page = (exp / "report/index.html").read_text()
    assert "decode_test/scoring/ci is not a file of intervals" in page and "score this set again (stage 5)" in page
    assert "has no wer and cer" not in page and page.count(rate) > 1
    shown = read_experiment(exp, tmp_path, ["test"])
    for one in (shown, *siblings(shown, ["test"])):
        decoded = one.sets[0]
        assert decoded.wer is not None and decoded.cer is not None and decoded.interval is None
    wer = exp / "decode_test/wer"
    wer.write_bytes(wer.read_bytes() + b"\xe9")
    assert f"{wer}:" in error_of(capsys, results, *options)


def test_a_set_that_was_decoded_again_is_named(exp):
    text = exp / "decode_test/text"
    text.write_text("".join(f"{line} more\n" for line in text.read_text().splitlines()))
    assert run_program(report.main, [str(exp), "test"]) == 0
    page = (exp / "report/index.html").read_text()
    assert "decode_test was decoded anew since it was scored: score this set (stage 5)" in page


def test_a_string_for_a_number_in_routing(exp, tmp_path, capsys):
    path = exp / "routing.json"
    tree = json.loads(path.read_text())
    tree["time"]["run_ms"][0] = "x"
    path.write_text(json.dumps(tree))
    error = error_of(capsys, results, "--routing", "--exp-dir", exp, "--results", tmp_path / "R.md")
    assert f"{path} is not what omni-asr analyze-routing writes" in error


RECORDS = [
    '{"type": "step", "step": 1, "of": 3, "epoch": 1, "loss": 2.0, "times_real_time": 9.0, "seconds_left": 4.0}\n',
    '{type: "step", "step": 2}\n',
    '{"type": "valid", "step": 3, "wer": 50.0}\n',
    '{"type": "step", "ste',
]


def test_status_passes_over_a_damaged_line_and_shows_the_rest(tmp_path, capsys, caplog):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text("{}")
    (tmp_path / "one" / "train.jsonl").write_text("".join(RECORDS))
    (tmp_path / "two" / "train.jsonl").write_text('{"type": "step", "step": 1, "of": "x"}\n')
    assert run_program(status.main, [str(tmp_path / "one"), str(tmp_path / "two")]) == 0
    shown = capsys.readouterr().out
    assert "1/3" in shown and "50.00" in shown and str(tmp_path / "two") not in shown
    assert f"{tmp_path / 'one' / 'train.jsonl'}:2 is damaged" in caplog.text
    assert "two/train.jsonl is not what training writes" in caplog.text


def test_training_goes_on_and_keeps_a_damaged_line(tmp_path, caplog):
    (tmp_path / "train.jsonl").write_text("".join(RECORDS))
    log = TrainLog(tmp_path, resume_step=1)
    log.record("step", {"step": 2})
    log.close()
    kept = [RECORDS[0], RECORDS[1], '{"type": "step", "step": 2}\n']
    assert (tmp_path / "train.jsonl").read_text() == "".join(kept)
    assert "train.jsonl:2 is damaged" in caplog.text


def test_statistics_that_are_text(tmp_path):
    (tmp_path / "cmvn.ark").write_text("hello world\n")
    with pytest.raises(UserError, match=r"cmvn.ark is not a Kaldi archive, or it is damaged; make it again"):
        read_cmvn_stats(tmp_path / "cmvn.ark")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("spm.model", b"cut", "sentencepiece cannot read the model"),
        ("spm.model", b"", "there is no model of sentencepiece"),
        ("type", b"words\n", "its type is 'words'"),
        ("type", b"\xff", "not UTF-8"),
    ],
)
def test_a_damaged_language_directory(tmp_path, name, content, message):
    save_tokenizer(train_tokenizer("unigram", 12, ["aa bb cc", "ab bc ca"] * 9), tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{message}.*; remove {tmp_path} and run stage 2 again"):
        load_tokenizer(tmp_path)


class Harmless:
    """An object that a state must not run."""

    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": 1}, "is not a state of training ('position' is missing); restore it"),
        ({"position": {"step": torch.zeros(3)}}, "is not of whole numbers"),
        ({"position": Harmless()}, "does not hold plain values and tensors"),
        ([1], "does not hold plain values and tensors"),
    ],
)
def test_a_state_of_another_program(tmp_path, capsys, content, message):
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    checkpoints.save_state(Position(step=3), {})
    torch.save(content, checkpoints.state(3))
    with pytest.raises(UserError) as caught:
        load_checkpoint(tmp_path, "last", CPU)
    assert message in str(caught.value) and str(checkpoints.state(3)) in str(caught.value)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("base.yaml", b"model:\n  dim: 8\n", "base.yaml is a configuration, not a model; name model.pt, or the exp"),
        ("notes", b"hello\n", "notes is a text file, not a model"),
        ("a.ark", b"utt \0BFM \x04\xff\xfe", "a.ark is some binary file, not a model"),
        ("model.pt", b"PK\3\4torn", "model.pt is damaged (it is torn)"),
    ],
)
def test_the_model_is_another_file(tmp_path, capsys, name, content, message):
    (tmp_path / name).write_bytes(content)
    assert message in error_of(capsys, decode, "--model", tmp_path / name, tmp_path, tmp_path / "out")


def test_a_model_whose_configuration_is_a_list(tmp_path):
    torch.save({"format": "omni_asr-model-1", "config": []}, tmp_path / "model.pt")
    with pytest.raises(UserError, match="model.pt was written by another version of omni_asr, train it again"):
        load_package(tmp_path / "model.pt", CPU)


def archives():
    link, locked = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=link, mode="w") as tar:
        entry = tarfile.TarInfo("a")
        entry.type, entry.linkname = tarfile.LNKTYPE, "nothing"
        tar.addfile(entry)
    with zipfile.ZipFile(locked, "w") as file:
        file.writestr("a", b"x")
    later = bytearray(locked.getvalue())
    directory = later.rfind(b"PK\1\2")
    later[directory + 6] = 200  # of a version of the format that is not there yet
    encrypted = bytearray(locked.getvalue())
    struct.pack_into("<H", encrypted, directory + 8, 1)
    struct.pack_into("<H", encrypted, 6, 1)
    return {"link.tar": link.getvalue(), "later.zip": bytes(later), "locked.zip": bytes(encrypted)}


@pytest.mark.parametrize("name", ["link.tar", "later.zip", "locked.zip"])
def test_archives_that_cannot_be_unpacked(tmp_path, name):
    (tmp_path / name).write_bytes(archives()[name])
    with pytest.raises(UserError, match=f"{name} is damaged and cannot be unpacked"):
        unpack(tmp_path / name, tmp_path / "out")


@pytest.mark.parametrize(
    ("table", "line", "message"),
    [
        ("segments", "a a 0 1.r\n", r"segments:1: expected '<utt> <recording> <start> <end>' in seconds"),
        ("segments", "a a nan 1\n", r"segments:1: expected '<utt> <recording> <start> <end>' in seconds"),
        ("utt2dur", "a x\n", r"utt2dur: a: length 'x' is not a number"),
    ],
)
def test_times_that_are_none(tmp_path, table, line, message):
    source = tmp_path / "data"
    source.mkdir()
    (source / "wav.scp").write_text("a a.wav\n")
    (source / "utt2spk").write_text("a a\n")
    (source / table).write_text(line)
    with pytest.raises(UserError, match=message):
        perturb_speed(source, tmp_path / "out")
    with pytest.raises(UserError, match=message):
        shortest(DataDir(source), 1)
