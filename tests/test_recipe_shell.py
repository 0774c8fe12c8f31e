"""recipe.sh on a toy recipe: stages, reruns, missing inputs, interruption, options of the stages."""

import os
import re
import shutil
import signal
import subprocess
import typing

import pytest
from recipe_helpers import ROOT, Recipe, lives, wait_for

from omni_asr.config import TokensConfig

STAGE_0_TO_2 = ["download.sh", "data.sh", "validate", "split", "make_fbank", "collect_feats", "compute_cmvn"]
STAGE_0_TO_2 += ["train_tokenizer"]
STAGE_4_TO_6 = ["decode", "score", "results", "analyze_routing", "errors", "report"]
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d \(run\.sh:[1-9]\d*\) \S.*")


@pytest.fixture(scope="session")
def finished_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    Recipe(folder).run()
    return folder


@pytest.fixture
def finished(tmp_path, finished_folder):
    """A recipe that has run through all stages; time stamps are kept."""
    shutil.copytree(finished_folder / "egs/toy", tmp_path / "copy", symlinks=True)
    recipe = Recipe(tmp_path)
    shutil.rmtree(recipe.dir)
    (tmp_path / "copy").rename(recipe.dir)
    recipe.calls()
    return recipe


def one_line(err):
    assert err.startswith("run.sh: error: ") and err.count("\n") == 1, err
    return err


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
    recipe.write("conf/official_counts", "test 3 4\n")
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


def test_router_of_the_configuration_is_taken_unless_another_is_asked_for(recipe):
    recipe.write("conf/mine.yaml", "model:\n  router: switch\n")
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


def test_values_reach_the_recipes_scripts_unchanged(recipe):
    phrases = ["two words", "$(touch pwned)", 'it\'s "so"', "--x", "*"]
    options = [f"--phrases={phrase}" for phrase in [*phrases, ""]]  # an empty value is not handed on
    (recipe.dir / "c 1").mkdir()
    (recipe.dir / "c 1/wav.scp").write_text("a-1 1.wav\n")
    recipe.run("--stage", 1, "--stop_stage", 1, "--corpus_dir", "c 1", "--corpus-dir=conf", *options)
    assert "data.sh [c 1] [conf] [official] " + " ".join(f"[{phrase}]" for phrase in phrases) in recipe.calls()
    assert not (recipe.dir / "pwned").exists()


def test_overrides_go_to_training_or_decoding(finished):
    finished.run("--stage", 3, "--tag", "t", "--set", "optim.lr=2e-3", "--set=decode.batch_frames=5", "--seed", 7)
    calls = {line.split()[0]: line for line in finished.calls()}
    assert "--seed 7 " in calls["train"] and calls["train"].endswith(" --set optim.lr=2e-3")
    assert "--set decode.batch_frames=5 " in calls["decode"] and "optim" not in calls["decode"]


def test_share_that_may_go_holds_for_features_and_training(finished):
    finished.run("--force", "true", "--stage", 2, "--stop_stage", 3, "--max_removed", 0.2, "--tag", "t")
    calls = {line.split()[0]: line for line in finished.calls()}
    assert "--max-removed 0.2 " in calls["collect_feats"]
    assert calls["train"].endswith(" --set data.max_removed=0.2")
    finished.run("--stage", 3, "--stop_stage", 3, "--set", "data.max_removed=0.5", "--tag", "u")
    train = next(line for line in finished.calls() if line.startswith("train "))
    assert train.endswith(" --set data.max_removed=0.5"), "the last one counts"


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


def test_outside_model_is_decoded_without_training(recipe):
    (recipe.dir.parent / "theirs/good").mkdir(parents=True)
    (recipe.dir.parent / "theirs/good/model.pt").write_text("weights")
    recipe.run("--model", "../theirs/good/model.pt")
    called = recipe.called()
    assert not {"train", "train_tokenizer", "compute_cmvn"} & set(called)
    assert called[-6:] == STAGE_4_TO_6
    assert (recipe.dir / "exp/good/decode_test/wer").exists()
    shutil.rmtree(recipe.dir / "data/train")
    recipe.run("--stage", 2, "--model", "../theirs/good/model.pt")  # test sets are enough
    _, err = recipe.run("--stage", 4, "--model", "no.pt", status=1)
    assert "there is no model no.pt" in one_line(err)


def test_a_model_from_elsewhere_leaves_the_experiment_of_its_name_alone(recipe):
    (recipe.dir.parent / "theirs/omni_base").mkdir(parents=True)
    (recipe.dir.parent / "theirs/omni_base/model.pt").write_text("weights")
    (recipe.dir / "exp/omni_base").mkdir(parents=True)
    (recipe.dir / "exp/omni_base/model.pt").write_text("ours")
    _, err = recipe.run("--model", "../theirs/omni_base", status=1)
    assert "exp/omni_base holds a model that was trained here; give --tag NAME" in one_line(err)
    recipe.run("--model", "../theirs/omni_base", "--tag", "theirs")
    assert (recipe.dir / "exp/omni_base_theirs/decode_test/wer").exists()
    assert not (recipe.dir / "exp/omni_base/decode_test").exists()


def test_results_of_two_models_are_never_in_one_folder(recipe):
    for name in ("theirs/omni_base", "others/omni_base"):
        (recipe.dir.parent / name).mkdir(parents=True)
        (recipe.dir.parent / name / "model.pt").write_text(name)
    recipe.run("--model", "../theirs/omni_base", "--stop_stage", 4)
    _, err = recipe.run("--model", "../others/omni_base", status=1)
    assert "exp/omni_base holds what " in one_line(err) and "give --tag NAME for what ../others/omni_base" in err
    _, err = recipe.run("--stage", 0, "--stop_stage", 3, status=1)
    assert "stage 3: exp/omni_base holds what " in one_line(err) and "theirs/omni_base decoded (--model)" in err
    recipe.run("--model", "../others/omni_base", "--tag", "others")
    recipe.run("--model", "../theirs/omni_base")


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


@pytest.mark.skipif(not shutil.which("flock"), reason="flock not installed")
def test_data_that_a_training_reads_stay_as_they_are(finished):
    finished.write("hang_train", "")
    training = finished.start("--stage", 3, "--tag", "second")
    wait_for(lambda: (finished.dir / "pids").exists())
    finished.run("--stop_stage", 2)  # nothing is to be done
    _, err = finished.run("--stop_stage", 2, "--phrases", "un", status=1)
    assert "stage 1: data/ would change, but a training or decoding reads it" in one_line(err)
    finished.run("--stop_stage", 2, "--vocab_size", 40)  # beside what is read
    os.killpg(training.pid, signal.SIGTERM)
    training.communicate(timeout=30)
    finished.run("--stop_stage", 2, "--phrases", "un")


def test_the_corpus_s_own_regime_alone(recipe):
    recipe.write("run.sh", (recipe.dir / "run.sh").read_text().replace("nj=2\n", "nj=2\nregime=whisper\n"))
    recipe.run("--stop_stage", 5)
    assert any("--regime whisper" in call for call in recipe.calls())
    recipe.run("--stage", 5, "--stop_stage", 5, "--regime", "none")
    assert not any("--regime" in call for call in recipe.calls())


def test_names_are_checked_first(recipe):
    _, err = recipe.run("--tag", "a b/c", status=1)
    assert "--tag is part of a folder's name" in one_line(err)
    _, err = recipe.run("--test_sets", "", status=1)
    assert "--test_sets names no set" in one_line(err)
    assert recipe.called() == []


def test_paths_count_from_where_they_were_typed(recipe, tmp_path):
    (tmp_path / "elsewhere/corpus_2").mkdir(parents=True)
    (tmp_path / "elsewhere/corpus_2/wav.scp").write_text("a-1 1.wav\n")
    how = {"command": "../egs/toy/run.sh", "cwd": tmp_path / "elsewhere"}
    recipe.run("--stage", 1, "--stop_stage", 1, "--corpus_dir", "corpus_2", **how)
    assert recipe.calls()[0].startswith(f"data.sh [{tmp_path}/elsewhere/corpus_2] ")
    out, _ = recipe.run("--help", **how)
    assert "Where the toy corpus is" in out


def test_options_of_the_environment_are_ignored(recipe):
    out, _ = recipe.run("--stop_stage", 0, env={"stage": "3", "router": "dense", "nj": "7", "dry_run": "true"})
    assert recipe.called() == ["download.sh"]


def test_after_options_derives_from_options(recipe):
    run = (recipe.dir / "run.sh").read_text()
    hook = "after_options() { if [[ ${split} == speaker ]]; then tag=${tag}speaker; fi; }\nsource ../T"
    recipe.write("run.sh", run.replace("source ../T", hook))
    recipe.run("--split", "speaker", "--stop_stage", 3)
    assert (recipe.dir / "exp/omni_base_speaker/model.pt").exists()


def test_example_of_the_readme_works(recipe):
    example = re.search(r"```bash\n(.*?)```", (ROOT / "egs/README.md").read_text(), re.S)[1]
    recipe.write("run.sh", example)
    out, _ = recipe.run("--dry_run", "true", "--split", "speaker", "--corpus_dir", "a", "--corpus_dir", "b")
    handed = "--corpus_dir=a --corpus_dir=b --split=speaker --held_out=theo"
    assert f"local/data.sh --data_dir=data/.new {handed}\n" in out
    assert "--exp-dir exp/omni_base_without_theo " in out and "--lang-dir data/lang_unigram28_without_theo " in out
    assert "--train-dir data/train_without_theo_sp " in out and " data/test_without_theo " in out
    real = (ROOT / "egs/fsdd/run.sh").read_text()
    settings = [line.split("#")[0].strip() for line in example.splitlines() if re.match(r"[a-z_]+=", line)]
    assert [line for line in settings if f"\n{line}" not in real] == [], "the example has fsdd's real defaults"
    if shutil.which("shellcheck"):
        command = ["shellcheck", "-x", "-P", "SCRIPTDIR", "--severity=warning", "--exclude=SC2154", "run.sh"]
        assert subprocess.run(command, cwd=recipe.dir).returncode == 0


def test_help_has_the_options_of_recipe_and_template(recipe):
    out, err = recipe.run("--help")
    assert "Two utterances, no sound." in out and "shellcheck" not in out
    assert "  --split             Which split: official or speaker (default: official)\n" in out
    assert "  --phrases           Phrases to say (handed on to local/data.sh) (may be repeated; default: one)\n" in out
    assert out.count("--nj ") == 1 and "default: 2)" in out
    names = "stage stop_stage skip_stages router config tag nj ngpu cmd corpus_dir model dry_run nnodes".split()
    assert all(f"\n  --{name} " in out for name in names)
    documented = [line for line in out.splitlines() if line.startswith("  --")]
    assert all(re.match(r"  --\w+ +[^ (]", line) for line in documented), "every option is explained"
    assert recipe.called() == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--stagee", "3"], "unknown option --stagee; did you mean --stage?"),
        (["--stage"], "--stage needs a value"),
        (["--stage", "7"], "--stage must be a whole number from 0 to 6, not '7'"),
        (["--nj", "a[$(touch pwned)]"], "--nj must be a whole number of at least 1"),
        (["--ngpu", "some"], "--ngpu must be a whole number of at least 0, not 'some'"),
        (["--dry_run", "yes"], "--dry_run must be true or false, not 'yes'"),
        (["stage", "3"], "unexpected argument 'stage'"),
        (["--stage", "4", "--stop_stage", "3"], "--stage 4 comes after --stop_stage 3; there is nothing to run"),
        (["--skip_stages", "4 x"], "--skip_stages has 'x'; stages are numbers from 0 to 6"),
        (["--stage", "4", "--router", "omnii"], "exp/omnii_base/model.pt is missing; stage 3 makes it (--stage 3)"),
        (["--token_type", "word"], "--token_type must be one of char bpe unigram, not 'word'"),
        (["--max_removed", "5%"], "--max_removed must be from 0 to 1, not '5%'"),
        (["--set", "model.router=dense"], "--set model.router=dense stands beside --router omni; use --router alone"),
        (["--set", "train.seed=3"], "--set train.seed=3 stands beside --seed 1; use --seed alone"),
        (["--config", "conf/bas.yaml"], "there is no configuration conf/bas.yaml; choose one of: conf/base.yaml"),
    ],
)
def test_mistakes_in_options_start_nothing(recipe, options, message):
    process = recipe.start(*options)
    _, err = process.communicate(timeout=20)
    assert process.returncode in (1, 2)
    assert message in one_line(err)
    assert recipe.called() == [] and not (recipe.dir / "data").exists()


@pytest.mark.parametrize(
    ("cmd", "message"),
    [
        ("slum --max_jobs 2", "launch: error: the back end 'slum' is not available; use one of: local, slurm\n"),
        ("slurm --color red", "launch: error: ../TEMPLATE/conf/slurm.conf has no line for --color red; add one:"),
        ("local --max_job 2", "launch: error: unrecognized arguments: --max-job"),
    ],
)
def test_mistake_in_the_back_end_shows_before_any_work(recipe, cmd, message):
    _, err = recipe.run("--cmd", cmd, status=1)
    assert message in err and err.count("\n") == 1
    assert recipe.called() == [] and not (recipe.dir / "data").exists()


def test_several_machines_need_a_cluster(recipe):
    _, err = recipe.run("--nnodes", 2, status=1)
    assert err == "launch: error: --nodes 2: local is one machine; use the back end slurm\n"
    assert recipe.called() == []


def test_several_gpus_train_under_torchrun_and_one_decodes(recipe):
    def command_of(program, *options):
        out, _ = recipe.run("--dry_run", "true", "--nj", 8, "--ngpu", 4, *options)
        return next(line for line in out.splitlines() if f"omni_asr.bin.{program} " in line)

    start = "env OMP_NUM_THREADS=2 python -m omni_asr.jobs.torchrun --standalone --nproc-per-node 4 -m omni_asr.bin."
    assert command_of("train").startswith(start)
    on_cluster = command_of("train", "--cmd", "slurm --partition gpu", "--nnodes", 2)
    assert on_cluster.startswith("python -m omni_asr.bin.launch slurm --partition gpu --mem ")
    assert " --nodes 2 --gpu 4 exp/omni_base/log/train.log python -m omni_asr.bin.train " in on_cluster
    for program in ("decode", "analyze_routing"):
        assert " --gpu 1 " in command_of(program) and " --ngpu 1 " in command_of(program)


def test_choices_of_the_shell_are_those_of_the_package(recipe):
    text = (ROOT / "egs/TEMPLATE/recipe.sh").read_text()
    kinds = typing.get_args(typing.get_type_hints(TokensConfig)["type"])
    assert f"\ncheck_choice token_type {' '.join(kinds)}\n" in text


def test_mistake_in_the_configuration_shows_before_any_work(recipe):
    (recipe.dir / "fail_show_config").touch()
    _, err = recipe.run(status=1)
    assert err == "show_config: error: no luck\n"
    assert recipe.called() == ["show_config"]


def test_dry_run_prints_commands_and_runs_nothing(recipe):
    out, _ = recipe.run("--dry_run", "true", "--set", "a.b=c d")
    commands = [line for line in out.splitlines() if not LINE.fullmatch(line)]
    assert recipe.called() == [] and not (recipe.dir / "data").exists() and not (recipe.dir / "exp").exists()
    assert commands[0] == "local/download.sh --corpus_dir=corpus --split=official"
    start = "python -m omni_asr.bin.launch local --mem 2G --restarts 3 JOB=1:2 "
    assert any(line.startswith(start) for line in commands)
    assert any(line.endswith(r"--set a.b=c\ d") for line in commands)
    assert "omni_asr.bin.report" in commands[-1]
    out, _ = recipe.run("--dry-run=true", "--stage", 5, "--stop_stage", 5)
    assert [line.split()[0] for line in out.splitlines() if not LINE.fullmatch(line)][:2] == [
        "../TEMPLATE/local/score.sh"
    ] * 2


def test_dry_run_after_a_finished_run_changes_nothing(finished):
    before = sorted((path, path.stat().st_mtime_ns) for path in finished.dir.rglob("*"))
    finished.run("--dry_run", "true", "--force", "true")
    assert sorted((path, path.stat().st_mtime_ns) for path in finished.dir.rglob("*")) == before


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
    status, _, pids = recipe.interrupt(number=signal.SIGKILL)
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
