"""recipe.sh when a program fails, or when it is interrupted: nothing that looks complete, no process left."""

import os
import shutil
import signal

import pytest
from recipe_helpers import lives, one_line, wait_for

from omni_asr.jobs.backends.local import processors


@pytest.mark.parametrize(("program", "stage"), [("make_fbank", 2), ("train", 3), ("decode", 4)])
def test_program_that_fails_stops_the_recipe(recipe, program, stage):
    (recipe.dir / f"fail_{program}").touch()
    _, err = recipe.run(status=1)
    assert f"{program}: error: no luck" in err
    assert err.endswith(f"run.sh: error: stage {stage} failed (exit code 1), see above\n")
    assert recipe.called()[-1] == program
    (recipe.dir / f"fail_{program}").unlink()
    recipe.run("--stop_stage", stage)
    assert recipe.called()[-1] in (program, "train_tokenizer")


def test_features_are_not_extracted_again_when_too_many_were_removed(recipe):
    (recipe.dir / "fail_collect_feats").touch()
    recipe.run("--stop_stage", 2, status=1)
    (recipe.dir / "fail_collect_feats").unlink()
    recipe.calls()
    recipe.run("--stage", 2, "--stop_stage", 2, "--max_removed", 0.5)
    assert recipe.called()[:2] == ["validate", "collect_feats"]
    assert recipe.called() == [] and not list((recipe.dir / "data/.done").glob("extracted_*"))


@pytest.mark.parametrize("theirs", [False, True])
def test_features_of_a_killed_stage_are_its_own(recipe, theirs):
    """SIGKILL after feats.scp appeared and before the stage noted it: nothing is set aside, unless it is the user's."""
    feats = recipe.dir / "data/train/feats.scp"
    (recipe.dir / "hang_collect_feats").touch()
    *_, (pid,) = recipe.interrupt("--stop_stage", 2, number=signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    (recipe.dir / "hang_collect_feats").unlink()
    assert feats.exists()
    if theirs:  # the recipe has not begun to write one
        (recipe.dir / "data/.done/fbank_train").unlink()
    out, _ = recipe.run("--stop_stage", 2)
    assert feats.with_name("feats.scp.kept").exists() == ("is not of this recipe" in out) == theirs


@pytest.mark.parametrize(
    ("program", "stage", "made"),
    [
        ("data", 1, "data/train"),
        ("make_fbank", 2, "data/train/feats.scp"),
        ("train", 3, "exp/omni_base/model.pt"),
        ("decode", 4, "exp/omni_base/decode_test"),
    ],
)
def test_interrupted_stage_leaves_no_process_and_nothing_that_looks_complete(recipe, program, stage, made):
    (recipe.dir / f"hang_{program}").touch()
    status, err, pids = recipe.interrupt()
    assert status == 130
    assert err.endswith(f"run.sh: interrupted in stage {stage}; run it again to go on\n")
    assert pids and not any(lives(pid) for pid in pids)
    assert not (recipe.dir / made).exists()
    (recipe.dir / f"hang_{program}").unlink()
    recipe.calls()
    recipe.run("--stop_stage", stage)
    called = recipe.called()
    assert "download.sh" not in called and (recipe.dir / made).exists()
    assert ("data.sh" in called) == (program == "data"), "what was complete is not done again"


@pytest.mark.parametrize(("number", "group"), [(signal.SIGTERM, False), (signal.SIGINT, True), (signal.SIGHUP, False)])
def test_every_way_to_stop_leaves_no_process(recipe, number, group):
    (recipe.dir / "hang_make_fbank").touch()
    status, _, pids = recipe.interrupt(number=number, group=group)
    assert status == 128 + number
    assert pids and not any(lives(pid) for pid in pids)


def test_killed_half_way_and_run_again(recipe):
    (recipe.dir / "hang_make_fbank").touch()
    # Of two jobs at once both must be known: what is not killed below holds the lock.
    status, _, pids = recipe.interrupt(number=signal.SIGKILL, hanging=min(2, processors()))
    assert status == -signal.SIGKILL
    (recipe.dir / "hang_make_fbank").unlink()
    if shutil.which("flock"):
        _, err = recipe.run(status=1)
        assert "is at work in data; wait until it ends" in one_line(err)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: recipe.start("--stop_stage", 0).wait(timeout=20) == 0)
    recipe.calls()
    recipe.run("--stop_stage", 2)
    assert recipe.called()[:2] == ["validate", "split"], "stage 2 begins again, stages 0 and 1 do not"
    assert (recipe.dir / "data/lang_unigram30/tokens.txt").exists()
