"""Every reproduction of ../shared/cases, where that folder is: what its script prints once the fault is mended.

All of them run once, two at a time, while the first test waits. Those on egs/mini get a recipe of the tiny size.
"""

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CASES = ROOT.parent / "shared" / "cases"
SECONDS = 420
"""Most that one script may take on a busy machine."""
NEVER = r"Traceback|MemoryError|tracebacks: [1-9]|Segmentation|rc=124"


@dataclass(frozen=True)
class Case:
    """A script of ../shared/cases."""

    arguments: str
    """In words: WORK is a folder of its own; TEST, TRAIN, DEV, LANG, CMVN, EXP and RECIPE are of egs/mini."""
    has: tuple[str, ...] = ()
    """Patterns that lines of its output begin with, each."""
    lacks: str = r"(?!)"
    """Pattern of what is nowhere in its output."""
    cwd: Path = ROOT
    changes_recipe: bool = False


EXPECTED = {
    "01_one_damaged_float_wav": Case(
        "WORK",
        (
            r"failed: 1   removed: 1$", r"validate rc=0$", r"compute-cmvn rc=0$",
            r"cmvn: 162 of 162 numbers are finite$", r"train rc=0$", r"\S+ \(train\) finished ",
        ),
        r"valid \d+  ctc (0\.000|nan)|too short",
    ),
    "02_mp3_header_tells_wrong_length": Case(
        "WORK", tuple(rf"{name} holds .*; got (89\d|90\d|91[0-5])  ffmpeg" for name in (
            "a_whole", "b_loud_first_no_info", "c_quiet_first_no_info", "d_two_files", "f_silence_first_no_info"
        )),
    ),
    "03_channel_0_is_last_channel": Case(
        "WORK",
        (
            r".*reco2file_and_channel A: first", r".*reco2file_and_channel 1: first",
            r".*reco2file_and_channel B: second", r".*reco2file_and_channel 2: second",
            r"--channel 0: first", r"--channel 1: second", r"--channel 2: failed",
        ),
        r"reco2file_and_channel [0@]: second|--channel -1: (first|second)",
    ),
    "04_common_voice_row_with_tab_or_line_feed": Case(
        "WORK",
        (r"rc=0$", r"1-common_voice_en_2000 the cat sat on the mat$", r"4-common_voice_en_2003 all is well$"),
        r"we left early$|they came back$|general\.mp3|twenties",
        cwd=ROOT / "egs" / "commonvoice",
    ),
    "05_wav_data_size_0": Case(
        "WORK", tuple(rf"{name}{way} 198$" for name in ("ffmpeg", "sox", "true", "zero") for way in ("", "-pipe"))
    ),
    "rob_01_two_runs_lose_a_decoding": Case(
        "RECIPE 2",
        (r"trial 1: rc \d+ and \d+; decode_test is there", r"trial 2: rc \d+ and \d+; decode_test is there"),
        r"GONE|rc [1-9]\d* and [1-9]",
        changes_recipe=True,
    ),
    "rob_02_stage_2_does_not_mend_archives": Case(
        "RECIPE",
        (r" *decode: error: ", r"stage 2 rc=0$", r"stage 2 without the archive rc=0$"),
        r"features of test are complete, nothing to do",
        changes_recipe=True,
    ),
    "rob_03_yaml_section_twice": Case(
        "WORK",
        (r"show-config: error: twice\.yaml:6: .*'model' is given a second time, first in line 1",),
        r"-- becomes\n  ",
    ),
    "rob_04_matrix_of_another_width": Case(
        "EXP TEST WORK",
        (r"80 columns: decode rc=0$", r"1 columns: decode rc=1$", r"40 columns: decode rc=1$", r"d80: valid"),
        r"d(1|40): valid",
    ),
    "rob_05_validation_that_is_not_finite_is_the_best": Case(
        "TRAIN DEV LANG CMVN WORK",
        (r"8 steps: train rc=1$", r"40 steps: train rc=1$", r"train: error: "),
        r"finished \d+ steps|ctc 0\.000",
    ),
    "rob_06_archive_header_declares_too_much": Case(
        "EXP TEST WORK", (r"decode rc=1$", r"compute-cmvn rc=1$", r"decode: error: ", r"compute-cmvn: error: ")
    ),
    "rob_07_full_disk_traceback": Case(
        "EXP TEST WORK",
        tuple(rf"{name} rc=1 tracebacks: 0; " for name in ("make-fbank", "decode", "train-tokenizer", "copy")),
    ),
    "rob_08_fix_twice_loses_the_backup": Case(
        "TEST WORK",
        (
            r"after the first: lines of utt2spk in .backup 10, of removed_by_fix 2$",
            r"after the second: lines of utt2spk in .backup 10, of removed_by_fix 2$",
        ),
    ),
    "rob_09_killed_make_fbank_leaves_its_archive": Case("TRAIN WORK", (r"x\.ark$", r"x\.scp$"), r"(?m)^\.x\.ark"),
    "rob_10_tracebacks_on_odd_values": Case(
        "TEST WORK",
        (
            r"YAML 2024-99-99: rc=1", r"SECTION.KEY=!!bool x: rc=1", r"fbank.conf --vtln-warp=x: rc=1",
            r"fbank.conf --frame-length=0.01: rc=1 .*did you mean 10", r"fbank.conf --dither=1e300: rc=1",
        ),
        r"rc=0|WRITTEN",
    ),
    "rob_11_tracebacks_on_damaged_files": Case(
        "EXP TEST LANG WORK",
        (
            r"RESULTS.md in Latin-1: rc=1", r"train.jsonl, one damaged line: rc=0", r"wer in Latin-1: rc=0",
            r"ci with a bracket too many: rc=1", r"cmvn.ark is text: rc=1", r"spm.model cut: rc=1",
            r"state of another program: rc=1", r"model.pt, config is a list: rc=1",
            r"unpack link.tar: rc=1 .*UserError: ", r"unpack new.zip: rc=1 .*UserError: ", r"perturb-speed, .*: rc=1",
            r"subset --shortest, .*: rc=1",
        ),
        r"^EXECUTED",
    ),
}  # fmt: skip
FUZZED = ("parse_fuzz", "conf_fuzz", "tok_fuzz", "archive_fuzz", "data_fuzz", "ark_fuzz")
TRIALS = 60
RAISED_OUTSIDE = (
    r"unpack \S+: rc=1 tracebacks: 1; omni_asr\.errors\.UserError: .*\n"
    r"|Traceback .*\n  File \"<stdin>\".*\nFileNotFoundError: .*'x\.scp'\n"
)
"""Tracebacks of the scripts themselves: one calls a function without its program, one reads a table that a program,
rightly, did not write."""
RENEWED = (
    ("show-config twice.yaml", "show-config --config twice.yaml"),
    ("show-config c.yaml", "show-config --config c.yaml"),
    ("show-config /dev/null ", "show-config --set "),
    ("import read_sphere, sphere_value", "import read_sphere, sphere_pipe as sphere_value"),
    ("omni_asr.kaldi.cmvn", "omni_asr.features.cmvn"),
)
"""Calls and names in the scripts that are others today."""

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="no folder ../shared/cases beside the repository")


@pytest.fixture(scope="module")
def outputs(request, tmp_path_factory):
    """What the scripts of the selected tests print, by case."""
    items = [item for item in request.session.items if item.path == request.path and hasattr(item, "callspec")]
    chosen = {item.callspec.params["name"] for item in items} - without()
    folder = tmp_path_factory.mktemp("cases")
    with ThreadPoolExecutor(2) as pool:
        recipe = pool.submit(make_recipe, folder) if any(map(needs_recipe, chosen)) else None
        alone = {name: pool.submit(run_case, name, folder) for name in sorted(chosen) if not needs_recipe(name)}
        dir = recipe.result() if recipe else None
        readers = [name for name in sorted(chosen - alone.keys()) if not changes_recipe(name)]
        alone |= {name: pool.submit(run_case, name, folder, dir) for name in readers}
        found = {name: future.result() for name, future in alone.items()}
    return found | {name: run_case(name, folder, dir) for name in sorted(chosen - found.keys())}


def without():
    """Cases that this machine cannot run."""
    return set() if can_mount() else {"rob_07_full_disk_traceback"}


def can_mount():
    """Whether this process may mount a small disk, tried in a name space of its own."""
    if os.geteuid() or not shutil.which("unshare"):
        return False
    return subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], check=False).returncode == 0


def needs_recipe(name):
    return name in FUZZED or EXPECTED[name].arguments != "WORK"


def changes_recipe(name):
    return name in EXPECTED and EXPECTED[name].changes_recipe


def make_recipe(folder):
    """egs/mini at its tiny size, run to the end beside links to the package; its folder."""
    skip = shutil.ignore_patterns("data", "exp", "fbank", "corpus", "log", "RESULTS.md")
    for name in ("TEMPLATE", "mini"):
        shutil.copytree(ROOT / "egs" / name, folder / "egs" / name, symlinks=True, ignore=skip)
    for name in ("omni_asr", "tools"):
        (folder / name).symlink_to(ROOT / name)
    options = "--config conf/tiny.yaml --size tiny --ngpu 0".split()
    shown = run(["./run.sh", *options], folder / "egs/mini")
    assert "Successfully finished" in shown, shown
    return folder / "egs/mini"


def run_case(name, folder, recipe=None):
    """The output of a script, or of some trials of the fuzzer."""
    if name in FUZZED:
        env = {"RECIPE": str(recipe), "FUZZ_DIR": str(folder / name)}
        script = renewed("rob_fuzz", folder / f"script_{name}")
        command = [sys.executable, str(script / "areas.py"), name, "11", str(TRIALS)]
        return run(command, folder, env)
    case = EXPECTED[name]
    places = {"WORK": folder / name, "RECIPE": recipe}
    if recipe:
        data = {"TEST": "data/test", "TRAIN": "data/train_sp", "DEV": "data/dev", "LANG": "data/lang_unigram200"}
        data |= {"CMVN": "data/train_sp/cmvn.ark", "EXP": "exp/omni_tiny"}
        places |= {word: recipe / path for word, path in data.items()}
    words = [str(places.get(word, word)) for word in case.arguments.split()]
    script = renewed(name, folder / f"script_{name}")
    return run(["bash", str(script / "run.sh"), *words], case.cwd)


def renewed(name, folder):
    """A copy of a case's scripts with the calls and names of today."""
    shutil.copytree(CASES / name, folder, copy_function=shutil.copyfile)
    folder.chmod(0o755)
    for path in folder.iterdir():
        text = path.read_text(encoding="utf-8")
        for old, new in RENEWED:
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")
    return folder


def run(command, cwd, env=None):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | (env or {})
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL}
    done = subprocess.run(command, cwd=cwd, env=environment, timeout=SECONDS, check=False, **how)
    return done.stdout.decode("utf-8", errors="replace")


@pytest.mark.parametrize("name", EXPECTED)
def test_the_case_ends_right(name, outputs):
    if name in without():
        pytest.skip("this user may not mount the small disk of this case")
    shown = outputs[name]
    judged = re.sub(RAISED_OUTSIDE, "", shown)
    assert not re.search(NEVER, judged), shown
    assert not re.search(EXPECTED[name].lacks, shown), shown
    missing = [pattern for pattern in EXPECTED[name].has if not re.search(f"(?m)^{pattern}", shown)]
    assert not missing, shown


@pytest.mark.parametrize("name", FUZZED)
def test_the_fuzzer_finds_nothing(name, outputs):
    assert re.search(rf"(?m)^{name} tried [1-9]\d* .* distinct findings 0 ", outputs[name]), outputs[name]


def test_every_case_is_expected():
    there = {path.parent.name for path in CASES.glob("*/run.sh")}
    assert there == EXPECTED.keys()
