"""--train_sets and --train_weights of a recipe."""

import pytest
from recipe_helpers import Recipe


@pytest.fixture
def recipe(tmp_path):
    made = Recipe(tmp_path)
    sibling = tmp_path / "egs" / "other" / "data" / "train_x"
    sibling.mkdir(parents=True)
    for name in ("feats.scp", "utt2num_frames", "text", "utt2spk", "spk2utt", "fbank.conf"):
        (sibling / name).write_text(f"o-1 {name}\n")
    return made


OWN_AND_OTHER = ("--train_sets", "toy/train other/train_x")


def test_prepared_sets_are_joined_once_and_trained_on(recipe):
    recipe.run(*OWN_AND_OTHER, "--stop_stage", "3")
    calls = recipe.calls()
    assert "join data/.new_joined toy=data/train other=../other/data/train_x" in calls
    [train] = [call for call in calls if call.startswith("train ")]
    assert "--train-dir data/toy_train+other_train_x" in train
    assert "--lang-dir data/lang_unigram30_toy_train+other_train_x" in train and "data.weights" not in train
    assert sum(call.startswith("make_fbank") for call in calls) == len({"train", "dev", "test", "test_far"}) * 2
    out, _ = recipe.run(*OWN_AND_OTHER, "--stop_stage", "2")
    assert "is joined from toy/train other/train_x, nothing to do" in out and "join" not in recipe.called()
    (recipe.dir / "../other/data/train_x/text").write_text("o-1 other words\n")
    out, _ = recipe.run(*OWN_AND_OTHER, "--stage", "2", "--stop_stage", "2")
    assert "done again, because this changed" in out and "join" in recipe.called()


def test_weights_reach_training_by_the_names_of_the_corpora(recipe):
    recipe.run(*OWN_AND_OTHER, "--train_weights", "1 .5", "--stop_stage", "3")
    [train] = [call for call in recipe.calls() if call.startswith("train ")]
    assert "--set data.weights=toy=1 other=.5" in train


def test_two_sets_of_one_corpus_have_names_of_their_own(recipe):
    out, _ = recipe.run("--train_sets", "other/a other/b-c", "--dry_run", "true", "--stage", "2", "--stop_stage", "2")
    assert "other_a=../other/data/a other_b_c=../other/data/b-c" in out
    assert "data/train/" not in out, "the recipe's own training set is not wanted"


def test_perturbed_sets_are_joined(recipe):
    options = (*OWN_AND_OTHER, "--speed_perturb", "true", "--dry_run", "true", "--stage", "2", "--stop_stage", "3")
    out, _ = recipe.run(*options)
    assert "toy=data/train_sp other=../other/data/train_x_sp" in out
    assert "--train-dir data/toy_train+other_train_x_sp" in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--train_sets", "other"), "'other' is not <recipe>/<set>"),
        (("--train_sets", "other/a other/a"), "names other/a twice"),
        (("--train_sets", "other/a", "--train_weights", "1 2"), "has 2 numbers for the 1 sets"),
        (("--train_sets", "other/a", "--train_weights", "0.0"), "'0.0' is not a number above 0"),
        (("--train_weights", "1"), "--train_weights needs --train_sets"),
        (("--set", "data.weights=toy=1"), "give --train_sets and --train_weights"),
    ],
)
def test_wrong_options_are_one_line_before_any_work(recipe, options, message):
    _, err = recipe.run(*options, status=1)
    assert message in err and err.count("\n") == 1
    assert recipe.calls() == []


def test_a_set_that_is_not_prepared_is_named(recipe):
    _, err = recipe.run("--train_sets", "toy/train missing/train", "--stop_stage", "2", status=1)
    assert "--train_sets: there is no recipe ../missing" in err and recipe.called() == []
    (recipe.dir.parent / "missing/data/trein").mkdir(parents=True)
    _, err = recipe.run("--train_sets", "toy/train missing/train", "--stop_stage", "2", status=1)
    assert "there is no ../missing/data/train; stages 0 to 2 of that recipe make it (there are: trein)" in err
    (recipe.dir.parent / "missing/data/train").mkdir()
    _, err = recipe.run("--train_sets", "toy/train missing/train", "--stop_stage", "2", status=1)
    assert "../missing/data/train has no features; run stages 0 to 2 of that recipe first" in err
    (recipe.dir.parent / "missing/data/train/feats.scp").write_text("a-1 f\n")
    options = ["--train_sets", "toy/train missing/train", "--stop_stage", "2", "--speed_perturb", "true"]
    _, err = recipe.run(*options, status=1)
    assert "../missing/data/train was prepared with --speed_perturb false; give the same here, or true there" in err
    assert recipe.called() == []


def test_an_outside_model_needs_no_training_sets(recipe):
    recipe.write("model.pt", "weights")
    recipe.run(*OWN_AND_OTHER, "--model", "model.pt", "--stop_stage", "5")
    assert "join" not in recipe.called()
