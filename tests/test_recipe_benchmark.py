"""egs/benchmark/run.sh, on recipes that copy what was scored before, and on real ones with a tiny model."""

import importlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from corpora.table import ROWS
from recipe_helpers import lives
from test_benchmark import plan, recipes  # noqa: F401
from test_corpora import copy_recipe

from omni_asr.config import Config, ModelConfig
from omni_asr.models.asr_model import AsrModel
from omni_asr.models.package import pack, save_package
from omni_asr.text.tokenizer import train_tokenizer

ROOT = Path(__file__).parents[1]
IGNORED = shutil.ignore_patterns("data", "exp", "fbank", "corpus", "__pycache__")
STUB = """\
#!/usr/bin/env bash
# Copies what @SCORED@ has of the sets.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
echo "$*" >> calls
while (($#)); do printf -v "${1#--}" '%s' "$2"; shift 2; done
[[ ! -e ${corpus_dir}/hang ]] || { sleep 100 & echo $! > pids; wait; }
[[ ! -e ${corpus_dir}/broken ]] || { echo "run.sh: error: the copy is broken" >&2; exit 1; }
mkdir -p data "${exp_dir}"
for name in ${test_sets}; do
    cp -r "@SCORED@/data/${name}" data/
    cp -r "@SCORED@/exp/omni_base/decode_${name}" "${exp_dir}/"
done
"""
FOLDERS = {
    "librispeech": ["librispeech"], "wsj": ["LDC/ldc93s6b", "LDC/LDC94S13B"], "tedlium": ["TEDLIUM_release-3"],
    "switchboard": ["LDC/LDC2002S09/hub5e_00", "LDC/LDC2002T43"],
    "ami": ["free/AMI/amicorpus", "ami_public_manual_1.6.2"],
    "chime6": ["CHiME6"], "commonvoice": [
        f"cv-corpus-{release}/en" for release in ("9.0-2022-04-27", "17.0-2024-03-15", "18.0-delta-2024-06-14")
    ],
    "fleurs": ["data/en_us"], "voxpopuli": ["VoxPopuli"],
}  # fmt: skip


class Benchmark:
    """A copy of the recipe, beside recipes that copy, and a folder with corpora."""

    def __init__(self, folder, scored, names):
        self.dir = copy_recipe("benchmark", folder)
        self.corpora, self.model = folder / "corpora", folder / "models/omni_base.pt"
        self.model.parent.mkdir()
        self.model.touch()
        for name in names:
            script = folder / "egs" / name / "run.sh"
            script.parent.mkdir(exist_ok=True)
            script.write_text(STUB.replace("@SCORED@", str(scored / name)))
            script.chmod(0o755)
        for path in [path for paths in FOLDERS.values() for path in paths]:
            (self.corpora / path).mkdir(parents=True)

    def start(self, *options):
        command = ["./run.sh", "--model", str(self.model), "--ngpu", "0", "--nj", "1", *map(str, options)]
        return subprocess.Popen(command, cwd=self.dir, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, *options, status=0):
        process = self.start(*options)
        out, err = process.communicate(timeout=300)
        assert process.returncode == status, out[-3000:] + err[-3000:]
        return out, err

    def calls(self, recipe):
        return (self.dir / "data" / recipe / "calls").read_text().splitlines()


@pytest.fixture
def benchmark(tmp_path, plan, recipes):  # noqa: F811
    (tmp_path / "work").mkdir()
    return Benchmark(tmp_path / "work", recipes, [column.recipe for column in plan.columns])


def test_corpora_are_found_by_the_names_that_people_have(benchmark):
    out, err = benchmark.run("--corpora_root", benchmark.corpora)
    assert "average of 11: 30.00 [" in out and "2 folders fit cv-corpus-*.[0-9]-[0-9]*/en/..;" in err
    corpora = str(benchmark.corpora)
    (call,) = benchmark.calls("librispeech")
    assert call == (
        f"--stage 1 --stop_stage 5 --model {benchmark.model} --exp_dir exp/omni_base --test_sets test_clean test_other "
        "--regime whisper --results exp/RESULTS.md --checkpoint average --nj 1 --ngpu 0 --cmd local --max_removed 0.05 "
        f"--max_unknown 0.01 --force false --corpus_dir {corpora}/librispeech"
    )
    named = {
        "wsj": "LDC/ldc93s6b --corpus_dir @/LDC/LDC94S13B",
        "ami": "free/AMI/amicorpus --corpus_dir @/ami_public_manual_1.6.2",
        "switchboard": "LDC/LDC2002S09 --corpus_dir @/LDC/LDC2002T43", "commonvoice": "cv-corpus-17.0-2024-03-15",
        "fleurs": "data", "voxpopuli": "VoxPopuli",
    }  # fmt: skip
    for recipe, folders in named.items():
        assert benchmark.calls(recipe)[0].endswith(f"--corpus_dir {corpora}/{folders}".replace("@", corpora)), recipe
    table = (benchmark.dir / "exp/omni_base/benchmark.md").read_text()
    assert "| Common Voice | 17.0 | test | whisper |" in table
    assert "| Switchboard | LDC2002S09 + LDC2002T43 | eval2000, sw_* | whisper |" in table
    assert not (benchmark.dir.parent / "librispeech" / "data").exists()  # theirs stay as they are


@pytest.mark.parametrize(
    ("there", "recipe", "found"),
    [
        ("hub/datasets--google--fleurs/snapshots/70bb/data/en_us/test.tsv", "fleurs", "hub/datasets--google--fleurs"),
        ("speech/lhotse/metadata/en_us/test.tsv", "fleurs", "speech/lhotse"),
        (
            "hub/datasets--facebook--voxpopuli/snapshots/8a/data/en/asr_test.tsv",
            "voxpopuli",
            "hub/datasets--facebook--",
        ),
        ("voxpopuli_hub/data/en/asr_test.tsv", "voxpopuli", "voxpopuli_hub/data"),
        ("cv-corpus-5.1-2020-06-22/test.tsv", "commonvoice", "cv-corpus-5.1-2020-06-22"),
        ("cv-corpus-18.0-delta-2024-06-14/en/other.tsv", "commonvoice", None),
    ],
)
def test_copies_of_the_hub_are_found_and_deltas_are_not(tmp_path, root, there, recipe, found):
    (tmp_path / there).parent.mkdir(parents=True)
    (tmp_path / there).touch()
    command = [sys.executable, "egs/benchmark/local/find.py", "--columns", "egs/benchmark/conf/columns.yaml"]
    done = subprocess.run(
        [*command, "--recipes", "egs", "--corpora-root", tmp_path], cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{recipe}\ttest\t{tmp_path}/{found}") if found else not done.stdout, done.stdout


def test_what_is_not_there_and_what_fails(benchmark):
    """One of two packages is missing, one copy is broken, one corpus is elsewhere."""
    (benchmark.corpora / "LDC/LDC2002T43").rmdir()
    (benchmark.corpora / "CHiME6/broken").touch()
    (benchmark.corpora / "VoxPopuli").rename(benchmark.corpora.parent / "vox")
    options = ["--corpora_root", benchmark.corpora, "--voxpopuli_dir", benchmark.corpora.parent / "vox", "--note", "x"]
    out, err = benchmark.run(*options, status=1)
    assert err.endswith(
        "run.sh: error: the copy is broken\nrun.sh: error: chime6 failed, see above; run it again to go on\n"
    )
    table = (benchmark.dir / "exp/omni_base/benchmark.md").read_text()
    assert (
        "- CHiME-6: egs/chime6 failed\n- CallHome, Switchboard: LDC2002T43 (Hub5'00 transcripts): no LDC2002T43 or "
        f"2000_hub5_eng_eval_tr; looked down to 2 folders below {benchmark.corpora}; --switchboard_dir names its "
        "place\n"
    ) in table
    assert "Columns missing: 3 of 11, so there is no average" in table and "| VoxPopuli | vox | test |" in table
    (benchmark.corpora / "CHiME6/broken").unlink()
    out, _ = benchmark.run(*options)
    assert "CHiME-6: 10.00 [" in out and "no average; columns missing: 2 of 11" in out


def test_a_second_run_for_one_corpus_keeps_the_others(benchmark):
    """Where they lie where they were and were scored; a corpus that failed or went away is not taken up."""
    (benchmark.corpora / "CHiME6/broken").touch()
    benchmark.run("--corpora_root", benchmark.corpora, status=1)
    shutil.rmtree(benchmark.corpora / "VoxPopuli")
    alone = ["--wsj_dir", benchmark.corpora / "LDC/ldc93s6b"]
    dry, _ = benchmark.run(*alone, "--dry_run", "true")
    assert "data/fleurs/run.sh --stage 1 " in dry and "data/chime6/run.sh" not in dry
    out, _ = benchmark.run(*alone)
    assert "no average; columns missing: 2 of 11" in out
    assert "CHiME-6: - (CHiME-6 not named; --chime6_dir names its place)" in out and "VoxPopuli: - (" in out
    assert benchmark.calls("wsj")[1].endswith(f"--corpus_dir {benchmark.corpora}/LDC/ldc93s6b")
    assert benchmark.calls("ami")[0] == benchmark.calls("ami")[1]  # which sees whether all is complete
    table = (benchmark.dir / "exp/omni_base/benchmark.md").read_text()
    assert "| Common Voice | 17.0 | test | whisper |" in table and "| WSJ nov92 | ldc93s6b |" in table
    out, _ = benchmark.run(*alone, "--tag", "b")
    assert "no average; columns missing: 10 of 11" in out


def test_results_of_another_model_are_never_mixed_in(benchmark):
    benchmark.run("--librispeech_dir", benchmark.corpora / "librispeech")
    other = benchmark.model.parent.parent / "omni_base.pt"
    other.touch()
    _, err = benchmark.run("--librispeech_dir", benchmark.corpora / "librispeech", "--model", other, status=1)
    assert err == (
        f"run.sh: error: exp/omni_base holds the results of {benchmark.model}; give --tag NAME for those of {other}\n"
    )
    benchmark.run("--librispeech_dir", benchmark.corpora / "librispeech", "--model", other, "--tag", "b")
    assert (benchmark.dir / "exp/omni_base_b/benchmark.html").exists()
    assert "--exp_dir exp/omni_base_b " in benchmark.calls("librispeech")[1]


def test_model_that_moved_with_the_checkout_is_the_same(benchmark, tmp_path):
    options = ["--librispeech_dir", benchmark.corpora / "librispeech"]
    benchmark.run(*options)
    old, new = benchmark.dir.parents[1], tmp_path / "elsewhere"
    old.rename(new)
    benchmark.dir, benchmark.model = new / "egs/benchmark", new / benchmark.model.relative_to(old)
    options[1] = new / options[1].relative_to(old)
    _, err = benchmark.run(*options)
    assert "holds the results of" not in err and (benchmark.dir / "exp/omni_base/benchmark.html").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--model", "nothing.pt", "--corpora_root", "."], "there is no model nothing.pt"),
        ([], "--corpora_root is missing: the folder that the corpora are in"),
        (["--corpora_root", "nowhere"], "--corpora_root: nowhere is no folder"),
        (["--wsj_dir", "nowhere"], "--wsj_dir: nowhere is no folder"),
        (["--tag", "a/b"], "--tag is part of a folder's name"),
        (["--columns", "none.yaml", "--corpora_root", "."], "none.yaml does not exist; name another file"),
        (
            ["--corpora_root", "local"],
            "no column has a figure (AMI-IHM: AMI headset recordings: no amicorpus or wav_db; AMI manual annotations: "
            "no ami_public_manual* or corpusResources; looked down to 2 folders below ",
        ),
    ],
)
def test_errors_in_one_line(benchmark, options, said):
    _, err = benchmark.run(*options, status=1)
    assert said in err and err.count("\n") == 1, err


def test_dry_run_runs_no_recipe(benchmark):
    out, _ = benchmark.run("--corpora_root", benchmark.corpora, "--dry_run", "true")
    assert out.count("data/librispeech/run.sh --stage 1 ") == 1
    assert (
        not (benchmark.dir / "data/librispeech/calls").exists() and not (benchmark.dir / "exp/omni_base/model").exists()
    )


def test_ctrl_c_ends_the_recipe_that_runs(benchmark):
    (benchmark.corpora / "librispeech/hang").touch()
    process = benchmark.start("--librispeech_dir", benchmark.corpora / "librispeech")
    pids, deadline = benchmark.dir / "data/librispeech/pids", time.monotonic() + 30
    while not (pids.exists() and pids.read_text().strip()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=40)
    assert process.returncode == 130 and err.endswith("run.sh: interrupted in stage benchmark; run it again to go on\n")
    assert not lives(pids.read_text().strip())


@pytest.fixture
def tiny_model(tmp_path):
    """A model that was never trained."""
    torch.manual_seed(0)
    tokenizer = train_tokenizer("char", 0, ["abcdefghijklmnopqrstuvwxyz '"])
    config = Config(model=ModelConfig(experts="2x2", dim=16, hidden=32, heads=2))
    model = AsrModel(config.model, config.features.num_mel_bins, tokenizer.size)
    path = tmp_path / "tiny.pt"
    save_package(path, pack(model.state_dict(), config, tokenizer, {"router": "omni", "seed": 1}))
    return path


def test_the_recipes_that_there_are_on_fake_copies(tmp_path, tiny_model, plan):  # noqa: F811
    """Stages 1, 2, 4 and 5 of the real recipes; the second time nothing is decoded again."""
    rows = [
        row
        for row in ROWS
        if row.name in {column.recipe for column in plan.columns} and all(map(shutil.which, row.programs))
    ]
    recipe, options = copy_recipe("benchmark", tmp_path), {}
    for row in rows:
        shutil.copytree(ROOT / "egs" / row.name, tmp_path / "egs" / row.name, symlinks=True, ignore=IGNORED)
        folders = importlib.import_module(f"corpora.{row.name}").make(tmp_path / "corpora" / row.name)
        options[row.name] = [f"--{row.name}_dir={folder}" for folder in folders]

    def run(names):
        command = ["./run.sh", "--model", str(tiny_model), "--max_removed", "0.9", "--ngpu", "0", "--nj", "1"]
        command += [option for name in names for option in options[name]]
        done = subprocess.run(command, cwd=recipe, env=os.environ.copy(), capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout

    out = run(options)
    assert out.count("stage 4: decoding") == sum(len(plan.sets(name)) for name in options)
    for column in plan.columns:
        assert (f"{column.name}: - (" in out) == (column.recipe not in options), column.name
    table = (recipe / "exp/tiny/benchmark.md").read_text()
    assert "| Common Voice | 17.0 |" in table and " 4 of 16,393 |" in table
    out = run(["librispeech"])
    assert "stage 4: decoding" not in out and "decode_test_clean is complete, nothing to do" in out
    for column in plan.columns:  # those of the first run stay
        assert (f"{column.name}: - (" in out) == (column.recipe not in options), column.name
