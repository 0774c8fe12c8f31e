"""A toy recipe on the real template, whose programs are stand-ins that note how they were called."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

RUN = """\
#!/usr/bin/env bash
# A toy recipe.
#
# Two utterances, no sound.
# shellcheck disable=SC2034
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

corpus_dir=corpus           # Where the toy corpus is
split=official              # Which split: official or speaker
phrases=(one)               # Phrases to say (handed on to local/data.sh)
train_set=train             # Training data
valid_set=dev
test_sets="test test_far"   # Two tests
vocab_size=30
nj=2
download_opts=(split)
data_opts=(split phrases)

source ../TEMPLATE/recipe.sh "$@"
"""

DATA = """\
#!/usr/bin/env bash
set -euo pipefail
corpus_dir=()
data_dir=data
split=
phrases=()
source ../TEMPLATE/utils/parse_options.sh
printf 'data.sh' >> calls; printf ' [%s]' "${corpus_dir[@]}" "${split}" "${phrases[@]}" >> calls; echo >> calls
[[ ! -e hang_data ]] || { mkdir -p "${data_dir}/train"; sleep 100 & echo $! >> pids; wait; }
for name in train dev test test_far; do
    mkdir -p "${data_dir}/${name}"
    cp "${corpus_dir[0]}/wav.scp" "${data_dir}/${name}/wav.scp"
    printf 'a-1 a\\nb-2 b\\nb-3 b\\n' > "${data_dir}/${name}/utt2spk"
    printf 'a-1 one\\nb-2 two %s\\nb-3 three\\n' "${phrases[0]}" > "${data_dir}/${name}/text"
done
"""

DOWNLOAD = """\
#!/usr/bin/env bash
set -euo pipefail
echo "download.sh $*" >> calls
mkdir -p corpus
printf 'a-1 1.wav\\nb-2 2.wav\\nb-3 3.wav\\n' > corpus/wav.scp
"""

# Stands for `python`: the launcher is the real one, every other program notes its call and leaves what it should.
PYTHON = """\
#!/usr/bin/env bash
set -euo pipefail
[[ $1 != -c ]] || exec @PYTHON@ "$@"
[[ $1 == -m ]] || exit 0
program=${2##*.}
shift 2
if [[ ${program} == launch ]]; then
    PYTHONPATH=@ROOT@ exec @PYTHON@ -m omni_asr.bin.launch "$@"
fi
if [[ ${program} == move_paths || (${program} == show_config && " $* " == *" --get "*) ]]; then
    PYTHONPATH=@ROOT@ exec @PYTHON@ -m "omni_asr.bin.${program}" "$@"
fi
if [[ ${program} == check_outputs ]]; then  # asks, and does nothing
    [[ ! -e unreadable || " $* " != *" $(< unreadable) "* ]] || { echo "$(< unreadable) is cut"; exit 3; }
    [[ ! -e check_really || " $* " != *" $(< check_really) "* ]] ||
        PYTHONPATH=@ROOT@ exec @PYTHON@ -m omni_asr.bin.check_outputs "$@"
    [[ ! -e fail_check_outputs ]] || { cat fail_check_outputs >&2; exit 1; }
    exit 0
fi
echo "${program} $*" >> calls
[[ ! -e fail_${program} ]] || { echo "${program}: error: no luck" >&2; exit 1; }
value() { while [[ $1 != "$name" ]]; do shift; done; echo "$2"; }
last=${@: -1}
hang() { [[ ! -e hang_${program} ]] || { sleep 100 & echo $! >> pids; wait; }; }
case ${program} in
    split) mkdir -p "$1/split$2/1" ;;
    make_fbank) mkdir -p fbank; touch "${last}.ark"; hang; touch "${last}.scp"; echo -- > "${last}.conf" ;;
    collect_feats)
        for file in utt2num_frames fbank.conf feats.scp; do echo "a-1 ${file}" > "$3/${file}"; done
        hang ;;
    compute_cmvn) cp "$1/feats.scp" "$2" ;;
    join)
        mkdir -p "$1"
        for file in feats.scp utt2num_frames text utt2spk corpora; do echo "x-1 ${file}" > "$1/${file}"; done ;;
    perturb_speed) cp -r "$1" "$2" ;;
    train_tokenizer) mkdir "${last}"; cp "$5" "${last}/tokens.txt" ;;
    train)
        name=--exp-dir; exp=$(value "$@")
        mkdir -p "${exp}/checkpoints"; hang; touch "${exp}/checkpoints/state-1.pt"; echo "$*" > "${exp}/model.pt" ;;
    decode)
        mkdir -p "${last}"
        for file in score tokens.jsonl load.json; do echo 1 > "${last}/${file}"; done
        hang; echo "a-1 one" > "${last}/text" ;;
    score) hang; echo "%WER 0.00 [ 0 / 4, 0 ins, 0 del, 0 sub ]" > "$3/wer" ;;
    analyze_routing) hang; name=--out; echo "{}" > "$(value "$@")" ;;
    report) mkdir -p "$1/report"; touch "$1/report/index.html" ;;
esac
"""


class Recipe:
    """The toy recipe in a temporary folder."""

    def __init__(self, folder):
        self.dir = folder / "egs/toy"
        self.bin = folder / "bin"
        shutil.copytree(ROOT / "egs/TEMPLATE", folder / "egs/TEMPLATE")
        self.write("run.sh", RUN)
        self.write("local/data.sh", DATA)
        self.write("local/download.sh", DOWNLOAD)
        self.write("conf/base.yaml", "")
        for name in ("path.sh", "cmd.sh"):
            (self.dir / name).symlink_to(f"../TEMPLATE/{name}")
        self.write(self.bin / "python", PYTHON.replace("@ROOT@", str(ROOT)).replace("@PYTHON@", sys.executable))

    def write(self, name, text):
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def start(self, *options, command="./run.sh", cwd=None, env=None):
        """Start run.sh as the leader of its own process group."""
        env = dict(os.environ, PATH=f"{self.bin}:{os.environ['PATH']}", **(env or {}))
        return subprocess.Popen(
            [command, *map(str, options)], cwd=cwd or self.dir, env=env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def run(self, *options, status=0, **how):
        """Run to the end, check the exit status, return standard output and error."""
        process = self.start(*options, **how)
        out, err = process.communicate(timeout=30)
        assert process.returncode == status, f"exit status {process.returncode}\n{out}\n{err}"
        return out, err

    def calls(self):
        """What was called since the last look: one line a call."""
        path = self.dir / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines

    def called(self):
        """The programs called since the last look, each once, in order."""
        return list(dict.fromkeys(line.split()[0] for line in self.calls()))

    def interrupt(self, *options, number=signal.SIGINT, group=False, hanging=1):
        """Start, wait until so many programs hang, send a signal; exit status, standard error and the hanging pids."""
        process = self.start(*options)
        pids = self.dir / "pids"
        wait_for(lambda: pids.exists() and len(pids.read_text().split()) >= hanging, 60)
        (os.killpg if group else os.kill)(process.pid, number)
        status = process.wait(timeout=30)
        err = "" if number == signal.SIGKILL else process.stderr.read()
        process.stdout.close()
        process.stderr.close()
        found = [int(pid) for pid in pids.read_text().split()]
        pids.unlink()
        return status, err, found


@contextmanager
def locked(path, kind=fcntl.LOCK_EX):
    """Hold the lock of a file, as another run of a recipe does."""
    with open(path, "a") as file:
        fcntl.flock(file, kind)
        yield


def wait_for(condition, seconds=15.0):
    """Poll until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing happened in time"
        time.sleep(0.02)


def lives(pid):
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # the latter where it goes between open and read
        return False


def one_line(err):
    """What a recipe says that refuses to go on, when that is one line."""
    assert err.startswith("run.sh: error: ") and err.count("\n") == 1, err
    return err
