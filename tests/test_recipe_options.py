"""Options of recipe.sh: what they reach, what is refused before any work, --help and --dry_run."""

import re
import shutil
import subprocess
import typing

import pytest
from recipe_helpers import ROOT, one_line

from omni_asr.config import TokensConfig

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d \(run\.sh:[1-9]\d*\) \S.*")


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


def test_permission_to_upsample_reaches_the_features(recipe):
    recipe.run("--stop_stage", 2)
    assert not any("--allow-upsample" in call for call in recipe.calls())
    recipe.run("--stage", 2, "--stop_stage", 2, "--force", "true", "--allow_upsample", "true")
    calls = [line for line in recipe.calls() if line.startswith("make_fbank ")]
    assert calls and all(line.startswith("make_fbank --allow-upsample --conf ") for line in calls)


def test_commands_are_refused_in_every_program_of_a_run(recipe):
    recipe.write("local/data.sh", 'echo "data ${OMNI_ASR_PIPES-unset}" >> calls; exit 1\n')
    for options, env, expected in (
        (["--pipes", "refuse"], {}, "refuse"),
        (["--pipes", "allow"], {"OMNI_ASR_PIPES": "refuse"}, "allow"),
        ([], {"OMNI_ASR_PIPES": "refuse"}, "refuse"),
        ([], {"pipes": "refuse"}, "unset"),
    ):
        recipe.run("--stop_stage", 1, *options, status=1, env=env)
        assert f"data {expected}" in recipe.calls()


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
        (["--pipes", "no"], "--pipes must be one of allow refuse, not 'no'"),
        (["--max_removed", "5%"], "--max_removed must be from 0 to 1, not '5%'"),
        (["--set", "model.router=dense"], "--set model.router=dense: give it as --router dense"),
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
