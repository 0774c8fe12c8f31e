"""A complete stage looks whether what it left can still be read, and needs no more."""

import errno
import json
import os

import numpy as np
import pytest
from recipe_helpers import one_line

from omni_asr.bin import check_outputs, run_program
from omni_asr.errors import UserError
from omni_asr.kaldi.ark import ArkWriter, read_matrix
from omni_asr.recipe_outputs import check_output
from omni_asr.scoring.results import read_model_info
from omni_asr.text.tokenizer import save_tokenizer, train_tokenizer


@pytest.mark.parametrize(
    ("output", "program"),
    [
        ("data/dev/feats.scp", "make_fbank"),
        ("data/train/cmvn.ark", "compute_cmvn"),
        ("data/lang_unigram30/tokens.txt", "train_tokenizer"),
        ("data/test/wav.scp", "data.sh"),
    ],
)
def test_output_that_cannot_be_read_is_made_again(finished, output, program):
    finished.write("unreadable", f"{output}\n")
    out, _ = finished.run("--stage", 1, "--stop_stage", 2)
    assert f"done again, because {output} is cut" in out and program in finished.called()


def test_decoding_that_cannot_be_read_is_made_again(finished):
    finished.write("unreadable", "exp/omni_base/decode_test/load.json\n")
    out, _ = finished.run("--stage", 4, "--stop_stage", 4)
    assert "done again, because exp/omni_base/decode_test/load.json is cut" in out
    assert finished.called() == ["decode"]


def test_features_of_jobs_that_are_gone_are_made_again(recipe):
    recipe.write("fail_collect_feats", "")
    recipe.run("--stop_stage", 2, status=1)
    (recipe.dir / "fail_collect_feats").unlink()
    next(recipe.dir.glob("fbank/*.2.scp")).unlink()
    recipe.calls()
    recipe.run("--stage", 2, "--stop_stage", 2)
    assert recipe.called()[:3] == ["validate", "split", "make_fbank"]


def test_finished_features_need_no_audio(recipe):
    """Perturbing reads the recordings, which may be gone once the features are there; stage 1 looks for them."""
    options = ("--speed_perturb", "true", "--stop_stage", 2)
    recipe.run(*options)
    recipe.calls()
    recipe.write("check_really", "data/train_sp/wav.scp\n")
    out, _ = recipe.run("--stage", 2, *options)
    assert "done again" not in out and recipe.called() == []
    (recipe.dir / "data/train_sp/wav.scp").write_text("a-1 1.w")
    out, _ = recipe.run("--stage", 2, *options)
    assert "done again, because data/train_sp/wav.scp is cut" in out and "perturb_speed" in recipe.called()
    recipe.write("check_really", "data/train/wav.scp\n")
    out, _ = recipe.run("--stage", 1, "--stop_stage", 1)
    assert "done again, because 1.wav, which data/train/wav.scp names, is missing" in out


@pytest.mark.parametrize(
    ("text", "shown"), [("Traceback:\nMemoryError\n", "exit code 1, MemoryError"), ("", "exit code 1")]
)
def test_check_that_fails_is_no_damage(finished, text, shown):
    finished.write("fail_check_outputs", text)
    _, err = finished.run("--stage", 2, "--stop_stage", 2, status=1)
    assert f"stage 2: fbank_train: its outputs cannot be checked ({shown}); run this again" in one_line(err)
    assert finished.called() == [] and (finished.dir / "data/train/feats.scp").exists()


@pytest.fixture
def features(tmp_path):
    with ArkWriter(tmp_path / "f.ark", tmp_path / "feats.scp") as write:
        for number in range(5):
            write(f"u-{number}", np.random.default_rng(number).normal(size=(20, 8)).astype(np.float32))
    return tmp_path


def test_whole_features_pass(features, capsys):
    assert read_matrix((features / "feats.scp").read_text().splitlines()[-1].split()[1]).shape == (20, 8)
    assert run_program(check_outputs.main, [str(features / "feats.scp")]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda ark: ark.unlink(), r"f\.ark, which .*feats\.scp names, is missing"),
        (lambda ark: ark.write_bytes(ark.read_bytes()[:-1]), "ends within a matrix"),
        (lambda ark: ark.write_bytes(ark.read_bytes()[:100]), "ends at 100, before its matrix at"),
        (lambda ark: ark.write_bytes(bytes(len(ark.read_bytes()))), "holds no matrix"),
        (lambda ark: (ark.parent / "utt2num_frames").write_text("u-0 20\nu-1 20\n"), "no number of frames for u-2"),
        (lambda ark: (ark.parent / "feats.scp").write_text(f"u-0 {ark}:4"), "its last line has no end"),
    ],
)
def test_damaged_features_are_named(features, damage, reason):
    damage(features / "f.ark")
    with pytest.raises(UserError, match=reason):
        check_output(features / "feats.scp")


@pytest.mark.parametrize("name", ["feats.scp", "cmvn.ark", "lang/tokens.txt", "load.json", "wav.scp"])
@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ESTALE])
def test_disk_that_does_not_answer_is_no_damage(features, monkeypatch, name, number):
    save_tokenizer(train_tokenizer("char", 9, ["one two"]), features / "lang")
    (features / "load.json").write_text("{}\n")
    (features / "wav.scp").write_text("a cat a.wav |\n")
    with ArkWriter(features / "cmvn.ark", compression_method=None) as write:
        write("global", np.array([[1.0, 2], [1, 0]]))
    check_output(features / name)

    def refuse(path, *_, **__):
        raise OSError(number, os.strerror(number), os.fspath(path))

    with monkeypatch.context() as patch:
        patch.setattr("builtins.open", refuse)
        patch.setattr("io.open", refuse)
        with pytest.raises(OSError, match=os.strerror(number)):
            check_output(features / name)
    with monkeypatch.context() as patch:
        patch.setattr("os.stat", refuse)
        with pytest.raises(OSError, match=os.strerror(number)):
            check_output(features / name)
        assert run_program(check_outputs.main, [str(features / name)]) == 1
    (features / name).unlink()
    assert run_program(check_outputs.main, [str(features / name)]) == 3


def test_advice_ends_with_the_stage_that_makes_what_is_damaged(features):
    (features / "f.ark").unlink()
    with pytest.raises(UserError, match="--stage 2 --stop_stage 2 --force true"):
        read_matrix(f"{features}/f.ark:4")
    (features / "model_info.json").write_text("[]")
    with pytest.raises(UserError, match=r"move model\.pt away and run --stage 3 --stop_stage 3, which writes both"):
        read_model_info(features)


def test_other_outputs(tmp_path):
    tokenizer = train_tokenizer("unigram", 20, ["one two three four five", "six seven eight nine ten"] * 9)
    save_tokenizer(tokenizer, tmp_path / "lang")
    check_output(tmp_path / "lang/tokens.txt")
    model = tmp_path / "lang/spm.model"
    model.write_bytes(model.read_bytes()[:50])
    (tmp_path / "load.json").write_text(json.dumps({"load": [1]})[:-1])
    (tmp_path / "wav.scp").write_text("a cat a.wav |\nb /none/b.wav\n")
    (tmp_path / "text").write_text("a one\nb tw")
    (tmp_path / "cmvn.ark").write_bytes(b"global \0BDM ")
    (tmp_path / "tokens.jsonl").write_text("{}\n")
    for name in ("tokens.jsonl", "lang/tokens.txt", "load.json", "wav.scp", "text", "cmvn.ark", "nothing"):
        with pytest.raises(UserError):
            check_output(tmp_path / name, audio=True)
