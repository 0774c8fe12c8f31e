#!/usr/bin/env python3
"""Make torchaudio import beside a CPU-only PyTorch.

torchaudio's wheel carries a native library that needs the CUDA build of PyTorch. Beside a CPU-only build it fails to
load, and torchaudio with it, whereas torchaudio without the library counts as "built without it" and works. So the
library's files move from torchaudio/lib to torchaudio/lib_set_aside, but only if PyTorch is a CPU build, torchaudio
does not import, and it does without them. They move back once PyTorch is a CUDA or ROCm build with which they load.
Running it again changes nothing.

usage: python tools/fix_torchaudio.py [--restore | --set-aside]

  --restore     move the files back, whatever PyTorch is
  --set-aside   set them aside, whatever PyTorch is (for a CUDA build of PyTorch that the library does not fit)
"""

import importlib.util
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path


def main(arguments: list[str]) -> int:
    """Find torchaudio and PyTorch in this Python's environment and fix what needs fixing."""
    if arguments not in ([], ["--restore"], ["--set-aside"]):
        print(__doc__)
        return 0 if arguments in (["-h"], ["--help"]) else 2
    torchaudio, torch = find_package("torchaudio"), find_package("torch")
    if torchaudio is None or torch is None:
        missing = "torchaudio" if torchaudio is None else "torch"
        print(
            f"fix_torchaudio: error: {missing} is not installed in {sys.prefix}; run tools/install.sh", file=sys.stderr
        )
        return 1
    lib, aside = torchaudio / "lib", torchaudio / "lib_set_aside"
    try:
        if arguments:
            move(aside, lib) if arguments == ["--restore"] else move(lib, aside)
            print(f"fix_torchaudio: moved as asked; {torchaudio} {'imports' if imports() else 'does not import'}")
            return 0
        print(f"fix_torchaudio: {fix(lib, aside, is_cpu_build(torch), imports)}")
    except OSError as error:
        print(f"fix_torchaudio: error: cannot change {torchaudio}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def fix(lib: Path, aside: Path, cpu_build: bool, imports: Callable[[], bool]) -> str:
    """Bring ``lib`` into the state that fits PyTorch, and say in one line what was done."""
    if libraries(aside) and not cpu_build:
        moved = move(aside, lib)
        if imports():
            return f"put {moved} native libraries back: PyTorch is no longer a CPU build"
        move(lib, aside)
        return f"left the native libraries in {aside}: they do not load with this PyTorch"
    if not libraries(lib):
        return "nothing to do: torchaudio has no native library here and works without it"
    if not cpu_build:
        return "nothing to do: PyTorch is not a CPU build"
    if imports():
        return "nothing to do: torchaudio's native library loads"
    moved = move(lib, aside)
    if imports():
        return f"set {moved} native libraries of torchaudio aside in {aside}: they need a CUDA build of PyTorch"
    move(aside, lib)
    return (
        "changed nothing: torchaudio does not import without its native library either; python tools/check_install.py"
    )


def move(source: Path, target: Path) -> int:
    """Move the shared libraries of one folder into another and return how many; an emptied ``source`` aside goes."""
    files = libraries(source)
    if files:
        target.mkdir(exist_ok=True)
    for file in files:
        os.replace(file, target / file.name)
    if files and not any(source.iterdir()):
        source.rmdir()
    return len(files)


def libraries(folder: Path) -> list[Path]:
    """The shared libraries in a folder, which may be absent."""
    return sorted(folder.glob("*.so"))


def find_package(name: str) -> Path | None:
    """Folder of an installed package, without importing it."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def is_cpu_build(torch: Path) -> bool:
    """Whether PyTorch was built for the CPU alone, read from its version file without importing it."""
    version = runpy.run_path(str(torch / "version.py"))
    return not any(version.get(platform) for platform in ("cuda", "hip", "xpu"))


def imports() -> bool:
    """Whether ``import torchaudio`` works in a fresh process of this Python."""
    return subprocess.run([sys.executable, "-c", "import torchaudio"], capture_output=True).returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
