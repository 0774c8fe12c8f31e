"""Programs. Each module here is one command line program with a short ``main(argv)``.

Run one with ``omni-asr <program> ...`` or ``python -m omni_asr.bin.<program> ...``.
"""

import argparse
import logging
import os
import sys
import textwrap
from collections.abc import Callable, Sequence

from omni_asr.errors import UserError
from omni_asr.kaldi import pipes

COMMANDS = ("Example:", "omni-asr ", " ")
"""Beginnings of the paragraphs of a program's docstring that hold commands."""


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """argparse's help with paragraphs, commands that can be copied as they stand, and no defaults that say nothing."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        filled = []
        for paragraph in text.strip().split("\n\n"):
            is_command = paragraph.startswith(COMMANDS)
            words = " ".join(paragraph.split())
            filled.append(paragraph if is_command else textwrap.fill(words, width, break_on_hyphens=False))
        return "\n\n".join(filled)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        default = action.default
        says_nothing = default is None or default is False or default in ("", [])
        return action.help if says_nothing else super()._get_help_string(action)


class ArgumentParser(argparse.ArgumentParser):
    """argparse with our conventions: defaults shown, ``-`` and ``_`` alike in option names, errors in one line."""

    def __init__(self, description: str | None) -> None:
        program = os.path.basename(sys.argv[0]).removesuffix(".py")
        super().__init__(
            prog=program if program != "omni-asr" else None,
            description=description,
            formatter_class=HelpFormatter,
            allow_abbrev=False,
        )

    def parse_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def, override]
        """Parse after spelling every ``--some_option`` as ``--some-option``."""
        args = sys.argv[1:] if args is None else list(args)
        return super().parse_args([_with_dashes(argument) for argument in args], namespace)

    def add_pipes(self) -> None:
        """Add ``--pipes`` to a program that reads ``wav.scp`` or ``feats.scp``."""
        text = f"commands in wav.scp and feats.scp; without it {pipes.VARIABLE} of the environment decides, else allow"
        self.add_argument("--pipes", choices=pipes.CHOICES, action=_SetPipes, default=argparse.SUPPRESS, help=text)

    def error(self, message: str) -> None:  # type: ignore[override]
        """Exit with status 2 and one line."""
        print(f"{self.prog}: error: {message} (--help lists the options)", file=sys.stderr)
        sys.exit(2)


class _SetPipes(argparse.Action):
    """Sets the variable of the environment, which the processes of a program inherit."""

    def __call__(self, parser, namespace, values, option_string=None):  # type: ignore[no-untyped-def]
        os.environ[pipes.VARIABLE] = values


def _with_dashes(argument: str) -> str:
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value


def run_program(main: Callable[[Sequence[str] | None], int | None], argv: Sequence[str] | None = None) -> int:
    """Run ``main`` and return its exit status: 1 with one line for what a user can mend, 130 after Ctrl-C."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s (%(name)s) %(message)s", datefmt="%Y-%m-%dT%H:%M:%S"
    )
    program = main.__module__.rsplit(".", 1)[-1].replace("_", "-")
    if program == "--main--":
        program = os.path.basename(sys.argv[0]).removesuffix(".py").replace("_", "-")
    try:
        status = main(argv) or 0
        sys.stdout.flush()  # here, and not at exit, where a closed pipe could not be caught
        return status
    except UserError as error:
        print(f"{program}: error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        _end_output()
        return 141
    except OSError as error:  # of a file that cannot be read or written: a full disk, a folder where a file belongs
        print(f"{program}: error: {_described(error)}", file=sys.stderr)
        _end_output()
        return 1
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        return 130


def _described(error: OSError) -> str:
    """Files and reason of an error, as far as they are known, in one line."""
    files = " to ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    reason = error.strerror or " ".join(str(error).split()) or type(error).__name__
    return f"{files}: {reason}" if files else reason


def _end_output() -> None:
    """Drop what standard output does not take, which Python would try once more at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
