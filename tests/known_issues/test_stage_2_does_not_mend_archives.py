"""A complete stage looks whether what it left can still be read, also after its checkout was moved."""

import json

import numpy as np
import pytest

from omni_asr.bin import check_outputs, move_paths, run_program
from omni_asr.errors import UserError
from omni_asr.kaldi.ark import ArkWriter, read_matrix
from omni_asr.kaldi.moving import move_paths as rewrite
from omni_asr.kaldi.outputs import check_output
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


def test_moved_checkout_is_followed_and_nothing_is_done_again(tmp_path, recipe):
    place = recipe.dir
    recipe.write("../../corpus/a.wav", "")
    data = (recipe.dir / "local/data.sh").read_text()
    recipe.write(
        "local/data.sh",
        data.replace('cp "${corpus_dir[0]}/wav.scp"', 'sed "s#1.wav#${PWD}/corpus/1.wav#" corpus/wav.scp > '),
    )
    recipe.run("--stop_stage", 4)
    scp = recipe.dir / "data/dev/feats.scp"
    recipe.calls()
    assert f"a-1 {place}/corpus/1.wav" in (place / "data/dev/wav.scp").read_text()
    scp.write_text(f"a-1 {place}/fbank/dev.1.ark:5\n")
    moved = tmp_path / "elsewhere [1]"
    (tmp_path / "egs").rename(moved)
    recipe.dir = moved / "toy"
    out, _ = recipe.run("--stop_stage", 2)
    assert f"{moved}/toy was {place} when its tables were written" in out
    assert (moved / "toy/data/dev/feats.scp").read_text() == f"a-1 {moved}/toy/fbank/dev.1.ark:5\n"
    assert f"a-1 {moved}/toy/corpus/1.wav" in (moved / "toy/data/dev/wav.scp").read_text()
    assert recipe.called() == []
    out, _ = recipe.run("--stop_stage", 2)
    assert "when its tables were written" not in out and recipe.called() == []


def test_paths_change_where_their_folder_is_there(tmp_path):
    (tmp_path / "new/audio").mkdir(parents=True)
    table = tmp_path / "wav.scp"
    table.write_text(
        "a /old/audio/a.wav\nb sox '/old/audio/b.wav' -t wav - |\nc /old/gone/c.wav\nd /older/audio/d.wav\n"
    )
    assert rewrite(table, {"/old": f"{tmp_path}/new"}) == 2
    assert table.read_text() == (
        f"a {tmp_path}/new/audio/a.wav\nb sox '{tmp_path}/new/audio/b.wav' -t wav - |\n"
        "c /old/gone/c.wav\nd /older/audio/d.wav\n"
    )
    before = table.stat().st_ino
    assert rewrite(table, {"/old": f"{tmp_path}/new"}) == 0 and table.stat().st_ino == before
    with pytest.raises(SystemExit):
        run_program(move_paths.main, ["--moved", "old=new", str(table)])


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
            check_output(tmp_path / name)
