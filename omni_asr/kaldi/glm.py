"""NIST's global mapping files (glm, format NIST1): rules ``A => B / C __ D``, rewrite A as B between C and D.

The first line is a comment, and its first word is the mark of comments, usually ``;;``. Then::

    * name "demo.glm"                                        settings: name, desc, format, copy_no_hit, case_sensitive
    [GONNA] => [GOING TO] / [ ] __ [ ]      ;; comment       brackets or quotes keep the blanks inside them
    UH-UH   => %BCNACK    / [ ] __ [ ]
    WAR TIME => WARTIME                                      without a context it also rewrites parts of words
    ;; INPUT_DEPENDENT_APPLICATION = "ctm"                   what follows is for such input only (a regular expression)
    [HE'S]  => [{HE'S / HE IS}] / [ ] __ [ ]

What surprises in the rfilter1 of SCTK 2.4.10, and is read alike here:

* Matching is case-sensitive unless the file says ``case_sensitive = 'F'``.
* Whatever follows the last ``/`` of a line is the context, unless a ``]`` is to its right and no ``[`` before that.
  ``A => B / C`` rewrites A as B. A rule that ends in an alternation loses half of it so, and is left out here, with a
  warning: write a context.
* There must be a blank after the arrow: ``A =>B`` deletes A, and ``A =>B C`` makes it ``C``. Likewise ``__[ ]``.

Lines are UTF-8, or else Latin-1, as in maps that were published long ago.
"""

import logging
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from omni_asr.errors import UserError
from omni_asr.files import atomic_write
from omni_asr.kaldi.tables import read_lines

log = logging.getLogger(__name__)

_INPUT = re.compile(r';;\s+INPUT_DEPENDENT_APPLICATION\s*=\s*"([^"]*)"')
_SETTING = re.compile("[\"']([^\"']*)[\"']")


@dataclass(frozen=True)
class Rule:
    """Rewrite ``source`` as ``target`` where ``left`` stands before and ``right`` after it; blanks count."""

    source: str
    target: str
    left: str = ""
    right: str = ""


@dataclass(frozen=True)
class GlobalMap:
    """Rules, of which the first that fits is applied, and settings."""

    rules: Sequence[Rule]
    case_sensitive: bool = True
    copy_no_hit: bool = True
    """Whether text that no rule matches is kept, which it always is in practice."""


def read_glm(path: str | os.PathLike[str], kinds: Iterable[str] = ()) -> GlobalMap:
    """Read the rules that hold for an input of these kinds, e.g. ``("ctm", "hyp")``.

    Raises:
        UserError: the file is missing or empty, or a line is no rule; named by file and line.
    """
    lines = read_lines(path, "latin-1")
    if not lines:
        raise UserError(f"{path} is empty; its first line must be a comment, as in ';; my.glm'")
    mark = lines[0].split(maxsplit=1)[0] if lines[0][:1].strip() else ""
    if mark in ("", "*") or "=>" in lines[0]:
        raise UserError(f"{path}:1: the first line must be a comment, whose mark holds for the file; write ';; ...'")
    kinds, applies = list(kinds), True
    rules, settings = [], {"case_sensitive": True, "copy_no_hit": True}
    for number, line in enumerate(lines, 1):
        if match := _INPUT.match(line):
            applies = any(_fits(match[1], kind, f"{path}:{number}") for kind in kinds)
        if not applies or number == 1 or line.startswith(mark):
            continue
        if line.startswith("*"):
            _set(settings, line, f"{path}:{number}")
        elif text := line.partition(mark)[0].strip():
            rule = read_rule(text, f"{path}:{number}")
            if rule.target.count("{") != rule.target.count("}"):  # as in two lines of Kaldi's english.glm
                log.warning(
                    "%s:%d: the braces of %r do not pair: the rule is left out; one with { a / b } needs a context",
                    path,
                    number,
                    rule.target,
                )
            elif rule.source:
                rules.append(rule)
            else:
                log.warning(
                    "%s:%d: nothing stands before '=>'; such a rule does nothing, in rfilter1 neither", path, number
                )
    return GlobalMap(rules, **settings)


def write_glm(path: str | os.PathLike[str], glm: GlobalMap, name: str) -> None:
    """Write rules so that they are read back as they are; a bracket or slash inside them may not survive."""
    with atomic_write(path) as file:
        file.write(f";; {name}\n* name \"{name}\"\n* format = 'NIST1'\n* max_nrules = '{len(glm.rules) + 1}'\n")
        file.write(f"* copy_no_hit = '{'FT'[glm.copy_no_hit]}'\n* case_sensitive = '{'FT'[glm.case_sensitive]}'\n")
        file.writelines(f"{written_rule(rule)}\n" for rule in glm.rules)


def written_rule(rule: Rule) -> str:
    """The line of a rule."""
    left, right = (f"[{side}] " if side else "" for side in (rule.left, rule.right))
    return f"[{rule.source}] => [{rule.target}] / {left}__ {right}".rstrip()


def _fits(expression: str, kind: str, where: str) -> bool:
    try:
        return bool(expression and re.search(expression.lower(), kind))
    except re.error as error:
        raise UserError(f"{where}: {expression!r} is no regular expression ({error})") from None


def _set(settings: dict[str, bool], line: str, where: str) -> None:
    """Take in a line ``* name = 'value'``; names that decide nothing are passed over."""
    match = _SETTING.search(line)
    if not match:
        raise UserError(f"{where}: a setting without a value in quotes; write * name = 'value'")
    upper, value = line.upper(), match[1]
    if "FORMAT" in upper and "DESC" not in upper and value != "NIST1":
        raise UserError(f"{where}: format {value!r}; only NIST1 is known")
    for name in settings:
        if name.upper() in upper:
            if value.upper() not in ("T", "F", "TRUE", "FALSE"):
                raise UserError(f"{where}: {name} is 'T' or 'F', not {value!r}")
            settings[name] = value.upper().startswith("T")


def read_rule(text: str, where: str) -> Rule:
    """The rule of a line, whose comment is taken off.

    Raises:
        UserError: it is none; the message begins with ``where``.
    """
    arrow = text.find("=>")
    if arrow < 0:
        raise UserError(f"{where}: no '=>' in {text!r}; write A => B / [ ] __ [ ]")
    slash = text.rfind("/")
    closing, opening = (text.find(bracket, slash) for bracket in "][") if slash >= 0 else (-1, -1)
    if slash < arrow or closing < opening:
        slash = -1
    slot = text.find("_", slash) if slash >= 0 else -1
    # Each part begins after the first blank that follows its sign.
    target = _after_sign(text[arrow:slash] if slash >= 0 else text[arrow:])
    left = right = ""
    if slot >= 0:
        left, right = _after_sign(text[slash:slot]), _after_sign(text[slot:])
    return Rule(_unwrap(text[:arrow].strip()), target, left, right)


def _after_sign(text: str) -> str:
    parts = text.strip().split(maxsplit=1)
    return _unwrap(parts[1]) if len(parts) > 1 else ""


def _unwrap(text: str) -> str:
    """Without brackets or quotes around it."""
    wrapped = len(text) > 1 and text[0] + text[-1] in ("[]", '""')
    return text[1:-1] if wrapped else text
