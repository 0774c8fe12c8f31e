"""The stages of recipe.sh on a toy recipe: their order, second runs, what is redone, missing inputs."""

import os
import re
import shutil

import pytest
from recipe_helpers import Recipe, one_line

STAGE_0_TO_2 = ["download.sh", "data.sh", "validate", "split", "make_fbank", "collect_feats", "compute_cmvn"]
STAGE_0_TO_2 += ["train_tokenizer"]
STAGE_4_TO_6 = ["decode", "score", "results", "analyze_routing", "errors", "report"]
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d \(run\.sh:[1-9]\d*\) \S.*")


def test_all_stages_in_order(recipe):
    out, err = recipe.run()
    assert recipe.called() == ["show_config", *STAGE_0_TO_2, "train", *STAGE_4_TO_6]
    lines = out.splitlines()
    assert all(LINE.fullmatch(line) for line in lines), "every line has time and place"
    assert re.search(r"Successfully finished\. \[elapsed=\d+s\]$", lines[-1])
    assert err == ""
    assert re.search(r"train +3 +2 +3 +- +4", out), "stage 1 prints utterances, speakers, recordings, hours, words"
    for path in ("data/train/cmvn.ark", "data/lang_unigram30/tokens.txt", "exp/omni_base/decode_test_far/wer"):
        assert (recipe.dir / path).is_file()
    leftovers = [path.name for path in recipe.dir.rglob(".*") if path.name.startswith((".new", ".old"))]
    assert leftovers == []


LENGTHS = """
for set in "${data_dir}"/*; do awk '{print $1, 1800}' "${set}/utt2spk" > "${set}/utt2dur"; done
"""


def test_counts_stand_beside_the_official_ones(recipe):
    recipe.write("conf/official_counts", "# counted by hand\n\ntest 3 4 # words\n")
    out, _ = recipe.run("--stop_stage", 1)
    assert re.search(r"test +3 +2 +3 +- +4  3 utterances, 4 words\n", out)
    assert "WARNING" not in out
    recipe.write("local/data.sh", (recipe.dir / "local/data.sh").read_text() + LENGTHS)
    recipe.write("conf/official_counts", "train 3 - - 1.5\ntest 3 5 text 1.51\n")
    out, _ = recipe.run("--stop_stage", 1)
    assert re.search(r"train +3 +2 +3 +1.50 +4  3 utterances, 1.5 h\n", out)
    assert re.search(r"test +3 +2 +3 +1.50 +4  3 utterances, 5 words, 1.51 h\n", out)
    assert "WARNING: test has 3 utterances and 4 words, not the official 3 and 5" in out and "hours, not" not in out
    recipe.write("conf/official_counts", "train 3 - - 1.6\n")
    out, _ = recipe.run("--stage", 1, "--stop_stage", 1, "--force", "true")
    assert "WARNING: train has 1.50 hours, not the official 1.6" in out


def test_scored_words_stand_beside_the_official_ones(finished):
    words = re.search(r"/ (\d+),", (finished.dir / "exp/omni_base/decode_test/wer").read_text())[1]
    finished.write("conf/official_counts", f"test 3 {words} scored\ntest_far - 77 scored\n")
    out, _ = finished.run("--stage", 5, "--stop_stage", 5)
    assert f"WARNING: test_far: {words} words were scored, not the official 77" in out and "WARNING: test:" not in out
    out, _ = finished.run("--stage", 1, "--stop_stage", 1, "--force", "true")
    assert re.search(r"test_far +3 .*  \n", out) and "WARNING" not in out


def test_second_run_redoes_nothing_of_stages_0_to_2(finished):
    out, _ = finished.run("--stop_stage", 2)
    assert finished.called() == []
    assert out.count("complete, nothing to do") == 8


def test_finished_recipe_decodes_nothing_again_unless_the_model_changed(finished):
    model = finished.dir / "exp/omni_base/model.pt"
    old, times = model.read_text(), model.stat()
    out, _ = finished.run("--skip_stages", "3")
    assert finished.called() == ["score", "results", "errors", "report"], "the routing is not analysed again"
    assert model.read_text() == old
    os.utime(model, (times.st_atime, times.st_mtime + 5))
    finished.run("--stage", 4, "--stop-stage=4")
    assert finished.called() == ["decode"]


def test_scoring_takes_options_of_the_recipe(finished):
    finished.run("--stage", 5, "--stop_stage", 5, "--score_by", "length utt2snr", "--regime", "whisper")
    arguments = "data/test data/lang_unigram30 exp/omni_base/decode_test --by length --by utt2snr"
    words = "--train-text data/train/text"
    assert finished.calls()[:2] == [f"score {arguments} {words}", f"score {arguments} {words} --regime whisper"]
    finished.run("--stage", 5, "--score_by", "", "--worst", 0)
    calls = finished.calls()
    assert f"score data/test_far data/lang_unigram30 exp/omni_base/decode_test_far {words}" in calls
    assert not any(call.startswith("errors ") for call in calls)
    _, err = finished.run("--regime", "glm", status=1)
    assert "--regime must be one of whisper" in one_line(err)


def test_other_router_trains_beside_the_first(finished):
    finished.run("--stage", 3, "--router", "switch")
    assert finished.called() == ["show_config", "train", *STAGE_4_TO_6]
    assert (finished.dir / "exp/omni_base/model.pt").exists()
    assert (finished.dir / "exp/switch_base/report/index.html").exists()


@pytest.mark.parametrize(
    "text",
    [
        "model:\n  router: switch\n",
        "model: {dim: 8, router: switch}",
        'model: {"router": "switch"}',
        "? model\n: router: switch",
    ],
)
def test_router_of_the_configuration_is_taken_unless_another_is_asked_for(recipe, text):
    recipe.write("conf/mine.yaml", text)
    out, _ = recipe.run("--dry_run", "true", "--stage", 3, "--stop_stage", 3, "--config", "conf/mine.yaml")
    assert " --router switch " in out and "--exp-dir exp/switch_mine " in out
    recipe.run("--stop_stage", 3, "--config", "conf/mine.yaml")
    assert " --router switch " in recipe.calls()[-1] and (recipe.dir / "exp/switch_mine/model.pt").exists()
    recipe.run("--stage", 3, "--stop_stage", 3, "--config", "conf/mine.yaml", "--router", "omni")
    assert (recipe.dir / "exp/omni_mine/model.pt").exists()


def test_sizes_of_the_template_go_with_every_recipe(recipe):
    recipe.run("--stop_stage", 3, "--config", "conf/8x84m.yaml")
    assert "--config ../TEMPLATE/conf/8x84m.yaml" in recipe.calls()[-1]
    assert (recipe.dir / "exp/omni_8x84m/model.pt").exists()


def test_force_does_everything_again(finished):
    finished.run("--force", "true")
    assert finished.called() == ["show_config", *STAGE_0_TO_2, "train", *STAGE_4_TO_6]
    assert (finished.dir / "exp/omni_base.before/model.pt").exists(), "the earlier experiment is kept"


def test_force_never_removes_the_experiment_that_it_put_aside(finished):
    finished.run("--stage", 3, "--stop_stage", 3, "--force", "true", "--seed", 2)
    finished.calls()
    _, err = finished.run("--force", "true", status=1)
    assert "exp/omni_base.before is there from an earlier --force true; rename or remove it" in one_line(err)
    assert finished.called() == ["show_config"], "refused before any work"
    assert "--seed 1 " in (finished.dir / "exp/omni_base.before/model.pt").read_text()


def test_changed_program_makes_the_corpus_again(recipe):
    recipe.write("local/synthesise.py", "print(1)\n")
    recipe.run("--stop_stage", 0)
    recipe.calls()
    out, _ = recipe.run("--stop_stage", 0)
    assert "corpus is complete, nothing to do" in out and recipe.called() == []
    recipe.write("local/synthesise.py", "print(2)\n")
    out, _ = recipe.run("--stop_stage", 0)
    assert "because this changed: local/synthesise.py" in out and recipe.called() == ["download.sh"]


def test_changed_option_redoes_what_depends_on_it(finished):
    out, _ = finished.run("--stop_stage", 2, "--vocab_size", 40)
    assert finished.called() == ["train_tokenizer"], "another vocabulary needs no other features"
    assert (finished.dir / "data/lang_unigram30").is_dir() and (finished.dir / "data/lang_unigram40").is_dir()
    out, _ = finished.run("--stop_stage", 2, "--phrases", "un")
    assert "because this changed: options: --corpus_dir=corpus --split=official --phrases=un" in out
    assert finished.called()[:2] == ["data.sh", "validate"]
    assert "train_tokenizer" not in finished.called(), "looked at once"


def test_changed_file_that_an_option_names_makes_the_data_again(finished):
    finished.write("rules.glm", "a => b\n")
    finished.run("--stage", 1, "--stop_stage", 1, "--phrases", "rules.glm")
    finished.calls()
    out, _ = finished.run("--stage", 1, "--stop_stage", 1, "--phrases", "rules.glm")
    assert "the data directories are complete, nothing to do" in out and finished.called() == []
    finished.write("rules.glm", "a => c\n")
    out, _ = finished.run("--stage", 1, "--stop_stage", 1, "--phrases", "rules.glm")
    assert "because this changed: rules.glm" in out and finished.called()[:1] == ["data.sh"]


def test_lost_output_is_made_again(finished):
    (finished.dir / "data/dev/feats.scp").unlink()
    finished.run("--stop_stage", 2)
    assert "collect_feats" in finished.called()
    assert (finished.dir / "data/dev/feats.scp").exists()


def test_nothing_is_dropped_in_a_second_experiment_on_other_data(finished):
    (finished.dir / "data/train/text").write_text("a-1 other\n")
    _, err = finished.run("--stage", 3, status=1)
    assert "was trained on other data or units; give --tag NAME" in one_line(err)
    finished.run("--stage", 3, "--tag", "other")
    assert (finished.dir / "exp/omni_base_other/model.pt").exists()


@pytest.mark.parametrize("name", ["text", "utt2num_frames"])
def test_other_validation_data_are_noticed(finished, name):
    (finished.dir / "data/dev" / name).write_text("a-1 other\n")
    _, err = finished.run("--stage", 3, status=1)
    assert "was trained on other data or units" in one_line(err)


def test_training_that_never_got_anywhere_may_start_on_other_data(recipe):
    (recipe.dir / "fail_train").touch()
    recipe.run(status=1)
    (recipe.dir / "fail_train").unlink()
    (recipe.dir / "data/train/text").write_text("a-1 other\n")
    recipe.run("--stage", 3, "--stop_stage", 3)
    assert (recipe.dir / "exp/omni_base/model.pt").exists()


@pytest.mark.parametrize(
    ("missing", "stage", "maker"),
    [
        ("data/train/text", 2, 1),
        ("data/dev/feats.scp", 3, 2),
        ("data/train/cmvn.ark", 3, 2),
        ("data/lang_unigram30/tokens.txt", 3, 2),
        ("exp/omni_base/model.pt", 4, 3),
        ("data/test_far/feats.scp", 4, 2),
        ("exp/omni_base/decode_test/text", 5, 4),
        ("exp/omni_base/decode_test/wer", 6, 5),
    ],
)
def test_stage_without_its_input_says_which_stage_makes_it(finished, missing, stage, maker):
    (finished.dir / missing).unlink()
    _, err = finished.run("--stage", stage, status=1)
    assert f"stage {stage}: {missing} is missing; stage {maker} makes it" in one_line(err)
    assert finished.called() in ([], ["show_config"]), "nothing was started"


def test_stage_1_without_the_corpus(recipe):
    _, err = recipe.run("--stage", 1, "--corpus_dir", "no where", status=1)
    assert "stage 1: the corpus is not at 'no where'; name its place with --corpus_dir" in one_line(err)


def test_stage_1_without_a_set(recipe):
    _, err = recipe.run("--test_sets", "test nonesuch", status=1)
    assert "local/data.sh made no set named nonesuch" in one_line(err)
    assert not (recipe.dir / "data/train").exists()


def test_corpus_that_cannot_be_fetched(recipe):
    (recipe.dir / "local/download.sh").unlink()
    out, _ = recipe.run("--stop_stage", 0)
    assert "nothing to fetch" in out


def test_data_directories_of_others_start_at_stage_2(finished):
    shutil.rmtree(finished.dir / "data/.done")
    shutil.rmtree(finished.dir / "local")
    (finished.dir / "data/train/feats.scp").write_text("a-1 theirs.ark:5\n")
    out, _ = finished.run("--stage", 2, "--tag", "x")
    assert (finished.dir / "data/train/feats.scp.kept").read_text() == "a-1 theirs.ark:5\n"
    assert (finished.dir / "exp/omni_base_x/decode_test/wer").exists(), "scored by the template's local/score.sh"


def test_without_data_script_stage_1_checks_what_is_there(finished):
    (finished.dir / "local/data.sh").unlink()
    finished.run("--stage", 1, "--stop_stage", 1)
    assert finished.called() == ["validate"]


def test_stage_1_leaves_out_features_that_it_has_not_made(finished):
    """Those that came with a directory may name archives which are elsewhere; stage 2 sets them aside."""
    (finished.dir / "local/data.sh").unlink()
    (finished.dir / "data/.done/fbank_dev").unlink()
    finished.run("--stage", 1, "--stop_stage", 1)
    assert finished.calls() == ["validate --no-feats data/dev", "validate data/train data/test data/test_far"]


@pytest.mark.parametrize("stage", [1, 2])
def test_directory_without_spk2utt_is_mended_by_either_stage(finished, stage):
    (finished.dir / "local/data.sh").unlink()
    (finished.dir / "data/dev/spk2utt").unlink()
    (finished.dir / "data/.done/fbank_dev").unlink()
    out, _ = finished.run("--stage", stage, "--stop_stage", stage)
    assert f"stage {stage}: making data/dev/spk2utt, which was not there" in out
    assert (finished.dir / "data/dev/spk2utt").read_text() == "a a-1\nb b-2 b-3\n"
    assert finished.called()[0] == "validate"


def test_checkout_below_a_folder_named_like_the_job_number(tmp_path):
    recipe = Recipe(tmp_path / "JOBS")
    recipe.run("--stage", 0, "--stop_stage", 2)
    calls = recipe.calls()
    assert any(line.endswith(" data/train/split2/1 fbank/train.1") for line in calls)
    assert "collect_feats --max-removed 0.05 data/train 2 fbank/train" in calls


def test_speed_perturbation_trains_on_the_perturbed_set(recipe):
    recipe.run("--speed_perturb", "true", "--stop_stage", 3, "--token_type", "char")
    calls = recipe.calls()
    assert "perturb_speed data/train data/.new_sp" in calls
    assert "compute_cmvn data/train_sp data/train_sp/cmvn.ark" in calls
    assert not any(line.startswith("split data/train ") for line in calls), "the plain set needs no features"
    train = next(line for line in calls if line.startswith("train "))
    assert "--train-dir data/train_sp " in train and "--lang-dir data/lang_char " in train


def test_sets_that_stay_the_same_keep_their_features(finished):
    feats = finished.dir / "data/train/feats.scp"
    before = feats.stat().st_ino
    finished.write("local/data.sh", (finished.dir / "local/data.sh").read_text() + "# another comment\n")
    out, _ = finished.run("--stop_stage", 2)
    assert "stage 1: data/train is as it was" in out and finished.called() == ["data.sh", "validate"]
    finished.run("--stop_stage", 2, "--max_removed", "0.5")
    assert finished.called() == [] and feats.stat().st_ino == before
    shutil.rmtree(finished.dir / "data/test_far")
    finished.run("--stop_stage", 2)
    assert "make_fbank" in finished.called() and feats.stat().st_ino == before


def test_stage_1_keeps_what_others_made(finished):
    (finished.dir / "data/test/utt2snr").write_text("a-1 5\nb-2 6\nb-3 7\n")
    out, _ = finished.run("--stop_stage", 1, "--phrases", "un")
    assert "stage 1: data/test/utt2snr is not of this recipe; it stays" in out
    assert (finished.dir / "data/test/utt2snr").exists() and not (finished.dir / "data/test/feats.scp").exists()
    (finished.dir / "data/.done/tables_dev").unlink()
    (finished.dir / "data/.done/data_dev").unlink()
    out, _ = finished.run("--stop_stage", 1, "--phrases", "un")
    assert "stage 1: data/dev is not of this recipe; it is kept as data/dev.kept" in out
    assert (finished.dir / "data/dev.kept/text").exists() and (finished.dir / "data/dev/text").exists()
    (finished.dir / "data/.done/tables_dev").unlink()
    _, err = finished.run("--stop_stage", 1, "--phrases", "deux", status=1)
    assert "data/dev and data/dev.kept are not of this recipe; move them away" in one_line(err)


def test_nothing_of_a_configuration_is_read_by_a_pattern(root):
    """Shell scripts ask ``show-config``: what they match in YAML or JSON, a parser may read otherwise."""
    reads = re.compile(r"\b(sed|grep|awk|cut)\b[^|]*(\$\{config\}|\.ya?ml|\.json)")
    scripts = [*root.glob("egs/**/*.sh"), *root.glob("tools/*.sh")]
    assert len(scripts) > 30
    assert [
        f"{path.name}: {line}" for path in scripts for line in path.read_text().splitlines() if reads.search(line)
    ] == []


def test_all_sets_are_validated_before_any_features_go(finished):
    (finished.dir / "fail_validate").touch()
    finished.run("--stage", 2, "--stop_stage", 2, "--force", "true", status=1)
    assert finished.calls() == ["validate --no-feats data/train data/dev data/test data/test_far"]
    assert all((finished.dir / f"data/{name}/feats.scp").exists() for name in ("train", "dev", "test", "test_far"))


def test_a_misspelt_test_set_costs_no_training(finished):
    _, err = finished.run("--stage", 3, "--tag", "new", "--test_sets", "tset", status=1)
    assert "stage 3: data/tset/feats.scp is missing" in err
    assert "train" not in finished.called()


def test_a_configuration_is_not_taken_for_a_model(finished):
    _, err = finished.run("--stage", 4, "--model", "conf/base.yaml", status=1)
    assert err == "run.sh: error: --model conf/base.yaml is a configuration; name an experiment or its model.pt\n"
    assert not (finished.dir / "exp/base.yaml").exists()
