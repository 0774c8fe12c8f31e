"""The console script: ``omni-asr <program> [options]``."""

import ast
import difflib
import importlib
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path

from omni_asr import __version__, bin
from omni_asr.bin import run_program


def programs() -> dict[str, str]:
    """Map each program's name to the first line of its module's docstring, without importing any of them."""
    found = {}
    for module in pkgutil.iter_modules(bin.__path__):
        if module.name != "cli":
            source = Path(bin.__path__[0], f"{module.name}.py").read_text(encoding="utf-8")
            docstring = ast.get_docstring(ast.parse(source)) or ""
            found[module.name.replace("_", "-")] = docstring.split("\n", 1)[0]
    return found


def list_programs(argv: Sequence[str] | None = None) -> None:
    """Print the name and the first line of every program."""
    known = programs()
    print("usage: omni-asr <program> [options]      (omni-asr <program> --help explains one)\n")
    width = max(map(len, known))
    print("\n".join(f"  {name:{width}}  {line}" for name, line in known.items()))


def main(argv: Sequence[str] | None = None) -> int:
    """Dispatch to a program; without one, list them."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["--version"]:
        print(f"omni-asr {__version__}")
        return 0
    known = programs()
    if not arguments or arguments[0] in ("-h", "--help"):
        return run_program(list_programs)
    name = arguments[0].replace("_", "-")
    if name not in known:
        nearest = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {nearest[0]}?" if nearest else "omni-asr --help lists them"
        print(f"omni-asr: error: no program named {arguments[0]!r}; {hint}", file=sys.stderr)
        return 2
    module = importlib.import_module(f"omni_asr.bin.{name.replace('-', '_')}")
    sys.argv = [name, *arguments[1:]]
    return run_program(module.main, arguments[1:])


if __name__ == "__main__":
    sys.exit(main())
