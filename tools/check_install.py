#!/usr/bin/env python3
"""Print a table of what works in this Python's environment, and what to type for what does not.

Runs anywhere, with nothing installed. Exit status 1 if something that every recipe needs is broken, else 0.
"""

import importlib
import importlib.metadata
import io
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCTK = "/usr/lib/sctk/bin"  # where Debian's sctk puts sclite, which is not on PATH
INSTALL = "tools/install.sh"
DEV = {name: name for name in ("pytest", "hypothesis", "ruff", "mypy")} | {
    "xdist": "pytest-xdist",
    "kaldi_native_fbank": "kaldi-native-fbank",
}


@dataclass
class Row:
    """One line of the table. ``core`` marks what every recipe needs."""

    name: str
    works: bool
    detail: str
    remedy: str = ""
    core: bool = False

    @property
    def state(self) -> str:
        """``ok``, ``BROKEN`` for the core, ``-`` for an absent option."""
        return "ok" if self.works else "BROKEN" if self.core else "-"


def check_python() -> Row:
    """The interpreter."""
    works = sys.version_info >= (3, 10)
    return Row("python", works, f"{platform.python_version()} in {sys.prefix}", f"{INSTALL} --python python3.11", True)


def check_torch() -> Row:
    """PyTorch of a supported version."""
    try:
        import torch
    except Exception as error:
        return Row("torch", False, first_line(error), INSTALL, True)
    supported = (2, 11) <= tuple(int(part) for part in torch.__version__.split(".")[:2]) < (2, 14)
    detail = torch.__version__ + ("" if supported else ", but 2.11 to 2.13 is supported")
    return Row("torch", supported, detail, INSTALL, True)


def check_gpu() -> Row:
    """A GPU that PyTorch can use."""
    try:
        import torch

        if torch.cuda.is_available():
            names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
            return Row("gpu", True, f"{len(names)} x {names[0]}")
        if torch.version.cuda or torch.version.hip:
            return Row("gpu", False, "PyTorch finds none", "nvidia-smi tells whether the driver sees it")
    except Exception as error:
        return Row("gpu", False, first_line(error), INSTALL)
    remedy = (
        "pip install a CUDA build of torch 2.13, then tools/fix_torchaudio.py" if shutil.which("nvidia-smi") else ""
    )
    return Row("gpu", False, "PyTorch is a CPU build; everything runs on the CPU", remedy)


def check_torchaudio() -> Row:
    """torchaudio, whose pure-Python parts suffice."""
    try:
        torchaudio = importlib.import_module("torchaudio")
        extension = importlib.import_module("torchaudio._extension")
    except ModuleNotFoundError as error:
        return Row("torchaudio", False, first_line(error), INSTALL, True)
    except Exception as error:
        return Row("torchaudio", False, first_line(error), "python tools/fix_torchaudio.py", True)
    native = "with" if extension._IS_TORCHAUDIO_EXT_AVAILABLE else "without (not needed)"
    return Row("torchaudio", True, f"{torchaudio.__version__}, {native} native library")


def check_package() -> Row:
    """omni_asr itself, installed or on PYTHONPATH."""
    try:
        module = importlib.import_module("omni_asr")
    except Exception as error:
        return Row("omni_asr", False, first_line(error), INSTALL, True)
    folder = Path(module.__file__ or "").resolve().parent.parent
    elsewhere = "" if folder == ROOT else ", which is not this repository"
    return Row("omni_asr", True, f"{module.__version__} in {folder}{elsewhere}")


def check_module(module: str, distribution: str, remedy: str = INSTALL, core: bool = True) -> Row:
    """One Python dependency."""
    try:
        importlib.import_module(module)
        return Row(distribution, True, importlib.metadata.version(distribution))
    except Exception as error:
        return Row(distribution, False, first_line(error), remedy, core)


def check_soundfile() -> list[Row]:
    """soundfile, and each format by writing and reading a tenth of a second in memory."""
    row = check_module("soundfile", "soundfile")
    return [row, *map(check_format, ("wav", "flac", "ogg", "mp3"))] if row.works else [row]


def check_format(name: str) -> Row:
    """One audio format; wav and flac are what the recipes write."""
    import numpy
    import soundfile

    try:
        buffer = io.BytesIO()
        soundfile.write(buffer, numpy.zeros(1600, dtype="float32"), 16000, format=name.upper())
        buffer.seek(0)
        _, rate = soundfile.read(buffer)
        return Row(f"  {name}", rate == 16000, f"read and written by libsndfile {soundfile.__libsndfile_version__}")
    except Exception as error:
        remedy = "python -m pip install --upgrade soundfile (its wheel brings libsndfile 1.1 or later)"
        return Row(f"  {name}", False, first_line(error), remedy, core=name in ("wav", "flac"))


def check_extra(name: str, modules: dict[str, str]) -> Row:
    """One optional group of dependencies, given as module: distribution."""
    remedy = f"python -m pip install -c tools/constraints.txt -e '.[{name}]'"
    rows = [check_module(module, distribution, core=False) for module, distribution in modules.items()]
    missing = ", ".join(row.name for row in rows if not row.works)
    detail = f"optional: lacks {missing}" if missing else ", ".join(f"{row.name} {row.detail}" for row in rows)
    return Row(f"[{name}]", not missing, detail, remedy)


def check_program(name: str, use: str, package: str, folders: Iterable[str] = ()) -> Row:
    """One optional program of the system; ``package`` is Debian's."""
    path = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *folders]))
    return Row(name, path is not None, path or f"optional: {use}", f"apt-get install {package}")


def first_line(error: BaseException) -> str:
    """An exception in at most 80 characters of one line."""
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed"
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return text if len(text) <= 80 else text[:77] + "..."


def all_rows() -> list[Row]:
    """Every check, core first."""
    rows: list[Row] = [check_python(), check_torch(), check_torchaudio(), check_gpu(), check_package()]
    for module, distribution in {
        "numpy": "numpy",
        "kaldiio": "kaldiio",
        "sentencepiece": "sentencepiece",
        "yaml": "pyyaml",
        "jiwer": "jiwer",
        "tqdm": "tqdm",
    }.items():
        rows.append(check_module(module, distribution))
    rows += check_soundfile()
    rows += [
        check_extra("mini", {"espeakng_loader": "espeakng-loader"}),
        check_extra("report", {"matplotlib": "matplotlib", "tensorboard": "tensorboard"}),
        check_extra("normalize", {"whisper_normalizer": "whisper-normalizer"}),
        check_extra("dev", DEV),
        check_program("sclite", "a second opinion on scores", "sctk", [SCTK]),
        check_program("ffmpeg", "pipes in wav.scp", "ffmpeg"),
        check_program("sox", "pipes in wav.scp", "sox"),
        check_program("sbatch", "--cmd slurm", "slurm-wlm munge"),
        check_program("shellcheck", "lint of shell scripts", "shellcheck"),
    ]
    return rows


def table(rows: list[Row]) -> str:
    """Columns: what, state, detail, and what to type where something does not work."""
    width = max(len(row.name) for row in rows)
    wide = max([len(row.detail) for row in rows if not row.works], default=0)
    lines = []
    for row in rows:
        remedy = "" if row.works or not row.remedy else f"{'':{wide - len(row.detail)}}  -> {row.remedy}"
        lines.append(f"{row.name:{width}}  {row.state:6}  {row.detail}{remedy}")
    return "\n".join(lines)


def main(checks: Callable[[], list[Row]] = all_rows) -> int:
    """Print the table and a closing line."""
    rows = checks()
    print(table(rows))
    broken = [row.name.strip() for row in rows if row.core and not row.works]
    if broken:
        print(f"\ncheck_install: broken: {', '.join(broken)}; what to type is in the last column", file=sys.stderr)
        return 1
    print("\ncheck_install: everything that a recipe needs works")
    return 0


if __name__ == "__main__":
    sys.exit(main())
