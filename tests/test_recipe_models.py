"""Models from outside in recipe.sh, and what keeps results and data of different runs apart."""

import os
import shutil
import signal

import pytest
from recipe_helpers import one_line, wait_for

STAGE_4_TO_6 = ["decode", "score", "results", "analyze_routing", "errors", "report"]


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
