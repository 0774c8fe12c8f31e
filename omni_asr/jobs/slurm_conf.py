"""``conf/slurm.conf``: how requests such as ``--mem 4G`` become arguments of sbatch, in the format of Kaldi's slurm.pl.

- ``command sbatch --export=ALL``, once: the program and what it always gets.
- ``option mem=* --mem-per-cpu $0``: what ``--mem 4G`` becomes; ``$0`` stands for the value.
- ``option gpu=0 --partition cpu``: an exact value wins over ``*``. An option may add nothing.
- ``default gpu=0``: the value where the option is not given.

What follows a ``#`` is a comment.
"""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from omni_asr.errors import UserError
from omni_asr.read_files import read_text

PLACES = (Path("conf/slurm.conf"), Path("../TEMPLATE/conf/slurm.conf"))
"""Where the file is looked for: a recipe's own, then that of all recipes."""

REQUEST = re.compile(r"\w+=.+")


@dataclass(frozen=True)
class SlurmConf:
    """The lines of one file."""

    path: Path
    command: list[str]
    rules: Mapping[tuple[str, str], list[str]]
    """Arguments by option and value."""
    defaults: Mapping[str, str]

    def arguments(self, asked: Mapping[str, str]) -> list[str]:
        """Sbatch's arguments for the options asked for, and for the defaults of those that are not.

        Raises:
            UserError: the file does not say what an option, or this value of it, means.
        """
        found: list[str] = []
        for name, value in {**self.defaults, **asked}.items():
            rule = self.rules.get((name, value), self.rules.get((name, "*")))
            if rule is None:
                raise UserError(f"{self.path} has no line for --{name} {value}; add one: option {name}=* ... $0")
            found += [word.replace("$0", value) for word in rule]
        return found


def find_conf(named: str | None) -> Path:
    """The file that the user names, or the first of :data:`PLACES`.

    Raises:
        UserError: there is none.
    """
    for path in (Path(named),) if named is not None else PLACES:
        if path.is_file():
            return path
    if named is not None:
        raise UserError(f"there is no {named}, which --config names")
    raise UserError(f"there is no {PLACES[0]} here; name one with --config, such as egs/TEMPLATE/conf/slurm.conf")


def read_conf(path: Path) -> SlurmConf:
    """Read the file.

    Raises:
        UserError: it has no ``command`` line, or a line that cannot be understood, named by its number.
    """
    command: list[str] = []
    rules: dict[tuple[str, str], list[str]] = {}
    defaults: dict[str, str] = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise UserError(f"{path}:{number}: {error} in '{line}'") from None
        match words:
            case []:
                continue
            case ["command", _, *_]:
                command = words[1:]
            case ["option", request, *arguments] if REQUEST.fullmatch(request):
                name, _, value = request.partition("=")
                rules[name, value] = arguments
            case ["default", request] if REQUEST.fullmatch(request):
                name, _, value = request.partition("=")
                defaults[name] = value
            case _:
                expected = "command PROGRAM ..., option NAME=VALUE ... or default NAME=VALUE"
                raise UserError(f"{path}:{number}: expected {expected}, not '{line}'")
    if not command:
        raise UserError(f"{path} has no line 'command sbatch ...'")
    return SlurmConf(path, command, rules, defaults)
