"""Stage 2 keeps what it has not made before it takes its place."""

import fcntl
import os
import signal

import pytest
from recipe_helpers import Recipe, locked, one_line, wait_for


@pytest.fixture
def theirs(tmp_path):
    """A recipe whose data/ holds everything that stage 2 makes, made by somebody else."""
    recipe = Recipe(tmp_path)
    recipe.run("--stop_stage", 1)
    for path in (
        "data/lang_unigram30/tokens.txt",
        "data/train/feats.scp",
        "data/train/utt2num_frames",
        "data/train/cmvn.ark",
        "data/train_sp/wav.scp",
        "data/toy_train+toy_dev/text",
        "fbank/train.1.ark",
        "data/train/split2/1/text",
    ):
        recipe.write(path, "theirs\n")
    recipe.calls()
    return recipe


def test_every_output_of_stage_2_is_kept(theirs):
    out, _ = theirs.run("--stage", 2, "--stop_stage", 2)
    kept = ["lang_unigram30", "train/feats.scp", "train/utt2num_frames", "train/cmvn.ark", "train/split2"]
    for path in (*(f"data/{name}" for name in kept), "fbank/train.1.ark"):
        assert f"stage 2: {path} is not of this recipe; it is kept as {path}.kept\n" in out
    assert (theirs.dir / "data/lang_unigram30.kept/tokens.txt").read_text() == "theirs\n"
    assert (theirs.dir / "data/train/cmvn.ark.kept").read_text() == "theirs\n"
    assert (theirs.dir / "data/lang_unigram30/tokens.txt").read_text() != "theirs\n"
    out, _ = theirs.run("--stage", 2, "--stop_stage", 2, "--force", "true")
    assert "kept" not in out, "a second time, what is there is the recipe's"


def test_perturbed_and_joined_sets_are_kept(theirs):
    theirs.run("--stage", 2, "--stop_stage", 2, "--speed_perturb", "true")
    assert (theirs.dir / "data/train_sp.kept/wav.scp").read_text() == "theirs\n"
    theirs.run("--stage", 2, "--stop_stage", 2, "--train_sets", "toy/train toy/dev")
    assert (theirs.dir / "data/toy_train+toy_dev.kept/text").read_text() == "theirs\n"


def test_an_earlier_kept_one_is_never_overwritten(theirs):
    theirs.write("data/lang_unigram30.kept/tokens.txt", "older\n")
    _, err = theirs.run("--stage", 2, "--stop_stage", 2, status=1)
    assert "data/lang_unigram30 and data/lang_unigram30.kept are not of this recipe; move them away" in one_line(err)
    assert (theirs.dir / "data/lang_unigram30.kept/tokens.txt").read_text() == "older\n"


def test_nothing_moves_where_one_thing_was_kept_before(theirs):
    theirs.write("data/train/utt2num_frames.kept", "older\n")
    _, err = theirs.run("--stage", 2, "--stop_stage", 2, status=1)
    assert "data/train/utt2num_frames and data/train/utt2num_frames.kept are not of this recipe" in one_line(err)
    assert (theirs.dir / "data/train/feats.scp").read_text() == "theirs\n"
    assert not (theirs.dir / "data/train/feats.scp.kept").exists()


def test_nothing_moves_while_a_training_reads_it(theirs):
    with locked(theirs.dir / "data/.in_use", fcntl.LOCK_SH):
        _, err = theirs.run("--stage", 2, "--stop_stage", 2, status=1)
        assert "stage 2: data/ would change, but a training or decoding reads it" in one_line(err)
    assert (theirs.dir / "data/train/feats.scp").read_text() == "theirs\n"
    assert not list(theirs.dir.glob("data/**/*.kept"))


def test_what_a_killed_stage_2_left_is_the_recipes_own(finished):
    finished.write("hang_make_fbank", "")
    process = finished.start("--stage", 2, "--force", "true")
    wait_for(lambda: (finished.dir / "pids").exists())
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)
    (finished.dir / "hang_make_fbank").unlink()
    for pid in (finished.dir / "pids").read_text().split():
        os.kill(int(pid), signal.SIGKILL)
    wait_for(lambda: finished.start("--stage", 2, "--stop_stage", 2).wait(timeout=60) == 0, 60)
    assert not list(finished.dir.glob("data/**/*.kept"))
