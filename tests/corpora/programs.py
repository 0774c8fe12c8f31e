"""Running the programs of a recipe on its own, without the stages."""

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]


def with_sph2pipe() -> str | None:
    """A PATH with sph2pipe, which ``tools/install_sph2pipe.sh`` makes; None where there is none."""
    path = f"{os.environ['PATH']}:{ROOT / 'tools' / 'sph2pipe' / 'bin'}"
    return path if shutil.which("sph2pipe", path=path) else None


def run_local(recipe: str, *command: object) -> subprocess.CompletedProcess[str]:
    """Run ``egs/<recipe>/local/<command>``, a Python or a shell program."""
    program = ROOT / "egs" / recipe / "local" / str(command[0])
    start = [sys.executable] if program.suffix == ".py" else []
    return subprocess.run(
        [*start, str(program), *map(str, command[1:])],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )


def local_module(recipe: str, name: str) -> ModuleType:
    """A module of ``egs/<recipe>/local``, whose neighbours it may import."""
    folder = str(ROOT / "egs" / recipe / "local")
    before = set(sys.modules)
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(folder)
        for added in set(sys.modules) - before:  # other recipes have modules of the same names
            if str(getattr(sys.modules[added], "__file__", "")).startswith(folder):
                del sys.modules[added]


def tables(folder: Path, corpus: Path) -> dict[str, str]:
    """What a preparation wrote, by ``<set>/<table>``, with CORPUS for the folder of the copy."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text().replace(str(corpus), "CORPUS") for path in files}
