"""The experiment directory: what was asked for, with what software, and what came of it."""

import contextlib
import fcntl
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from omni_asr import __version__
from omni_asr.config import Config, config_to_dict
from omni_asr.data.dataset import UtteranceSet
from omni_asr.data.manifest import units_digest
from omni_asr.errors import UserError
from omni_asr.files import atomic_write
from omni_asr.read_files import well_formed
from omni_asr.text.tokenizer import Tokenizer
from omni_asr.training.checkpoint import Checkpoints
from omni_asr.training.ranks import Ranks
from omni_asr.yaml_files import read_yaml

LOCK = ".training"
"""File of an experiment directory that is locked while it is trained."""

FREE_KEYS = {
    "data.workers",
    "data.max_removed",
    "data.max_unknown",
    "model.backend",
    "model.recompute",
    "optim.accumulate",
    "train.compile",
    "train.init",
    "train.log_every",
    "train.parallel",
    "train.save_every",
    "train.timeout",
    "train.threads",
    "decode.batch_frames",
    "decode.max_unknown",
}
"""Options that may change between two starts of one experiment, because they do not change what is learnt.

Processes times ``optim.accumulate`` stays the same: the trainer sees to it."""


def open_experiment(exp_dir: Path, config: Config, command: str) -> None:
    """Make the directory and write ``config.yaml``, ``cmd.txt`` and ``versions.txt`` of its first start.

    Raises:
        UserError: the directory holds training with other options, naming the first that differs.
    """
    path = exp_dir / "config.yaml"
    tree = config_to_dict(config)
    if path.exists() and Checkpoints(exp_dir / "checkpoints").states():
        old = read_yaml(path)
        with well_formed(path, "the configuration of a training", f"restore it, or remove {exp_dir} to start again"):
            return _refuse_difference(old, tree, exp_dir)
    with atomic_write(path) as file:
        yaml.safe_dump(tree, file, sort_keys=False)
    with atomic_write(exp_dir / "cmd.txt") as file:
        file.write(command + "\n")
    with atomic_write(exp_dir / "versions.txt") as file:
        file.write(_versions())


def _refuse_difference(old: dict[str, Any], new: dict[str, Any], exp_dir: Path) -> None:
    defaults = config_to_dict(Config())  # what an option did before it was there
    for section, values in new.items():
        for key, value in values.items():
            before = old.get(section, {}).get(key, defaults[section][key])
            if before != value and f"{section}.{key}" not in FREE_KEYS:
                raise UserError(
                    f"{exp_dir} was started with {section}.{key} = {before}, now it is {value}; "
                    f"give the new run another --tag, or remove the directory"
                )


def digests_of(train_set: UtteranceSet, valid_set: UtteranceSet, tokenizer: Tokenizer, shards: bool) -> dict[str, str]:
    """What a training belongs to beside its options, by name: a state goes on with the same digests only.

    With ``shards`` it matters what archive has which utterance of ``train_set``, too.
    """
    return {
        "output units": units_digest(tokenizer),
        "training utterances": train_set.manifest.digest(shards),
        "validation utterances": valid_set.manifest.digest(False),
    }


def refuse_other_data(old: dict[str, str], new: dict[str, str], exp_dir: Path) -> None:
    """Compare :func:`digests_of` a training's state with those of now.

    Raises:
        UserError: naming the first that differs.
    """
    for what, digest in new.items():
        if old[what] != digest:
            raise UserError(
                f"{exp_dir} was started with other {what} than there are now; put them back, give the new run another "
                f"--tag, or remove the directory"
            )


@contextlib.contextmanager
def training_in(exp_dir: Path, ranks: Ranks) -> Iterator[None]:
    """Hold the directory's lock while the block runs; on the first rank only.

    Raises:
        UserError: another process trains there.
    """
    if not ranks.first:
        yield
        return
    exp_dir.mkdir(parents=True, exist_ok=True)
    with open(exp_dir / LOCK, "a+", encoding="utf-8") as file:
        try:
            # Not flock, whose lock a loading process would inherit and hold for seconds after training was killed.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            file.seek(0)
            raise UserError(f"{exp_dir} is being trained by {file.read().strip()}; wait until it ends") from None
        except OSError:  # a file system without locks
            pass
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}\n")
        file.flush()
        yield


def being_trained(exp_dir: Path) -> bool:
    """Whether a process holds the directory's lock."""
    try:
        with open(exp_dir / LOCK, encoding="utf-8") as file:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return True
    except OSError:
        return False
    return False


def write_info(exp_dir: Path, info: dict[str, Any]) -> None:
    """Write ``model_info.json``: sizes, amounts and origin of the run, which result tables quote."""
    with atomic_write(exp_dir / "model_info.json") as file:
        json.dump(info, file, indent=1)
        file.write("\n")


def read_command(exp_dir: Path) -> str:
    """The command that started the experiment; empty where none is noted."""
    path = exp_dir / "cmd.txt"
    return path.read_text(encoding="utf-8", errors="replace").strip() if path.exists() else ""


def commit() -> str:
    """Short hash of the checked-out commit, with ``+`` when files differ from it; ``-`` outside a repository."""
    root = Path(__file__).parents[2]
    try:
        head = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "-C", str(root), "status", "--porcelain", "--", "omni_asr", "egs", ":!egs/*/RESULTS.md"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "-"
    return head + ("+" if changed else "")


def _versions() -> str:
    lines = [
        f"omni_asr {__version__} ({commit()})",
        f"python {platform.python_version()}",
        f"platform {platform.platform()}",
    ]
    for name in ("torch", "torchaudio", "numpy", "kaldiio", "sentencepiece", "soundfile", "jiwer"):
        try:
            lines.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            lines.append(f"{name} absent")
    return "\n".join(lines) + "\n"


def command_line() -> str:
    """The command that started this program, as it can be typed again: the recipe's, if it says so."""
    program = Path(sys.argv[0])
    typed = ["omni-asr", "train"] if program.suffix != ".py" else ["python", "-m", f"omni_asr.bin.{program.stem}"]
    return os.environ.get("OMNI_ASR_COMMAND") or shlex.join([*typed, *sys.argv[1:]])
