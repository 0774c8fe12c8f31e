"""The sox stages of ``wav.scp`` that are written here, for speed and for one channel, and recognised again.

Every reader of Kaldi's directories can run such a line with sox. Here the stages are taken off: the file itself is
read, its channel is selected, and its samples are resampled, without sox and without a process.
"""

import re
import shlex
from pathlib import PurePath

_FACTOR = r"(?P<factor>\d+(?:\.\d+)?)"
_PLAIN = re.compile(rf"sox (?:-t \w+ )?(?P<word>\S.*) -t wav - speed {_FACTOR} *\|")
_BARE = re.compile(r"[^\s'\"\\$`*?;&|<>()~#][^\s'\"\\$`*?;&|<>()#]*")
_PIPE = re.compile(rf"(?P<command>.*\S) *\| *sox -t wav - -t wav - speed {_FACTOR} *\|")
_ARK = re.compile(r"wav-copy (?P<path>\S+:\d+) - *\|")
_CHANNEL = re.compile(r"sox (?P<word>\S.*) -t wav - remix (?P<number>[1-9]\d{0,3}) *\|")
_SELECTED_HERE = (".wav", ".flac", ".sph")
"""Suffixes of files of which a channel is selected without sox, to the same samples; sox may know others."""


def add_speed(value: str, factor: float) -> str:
    """A wav.scp value played ``factor`` times as fast, as Kaldi's ``perturb_data_dir_speed.sh`` writes it."""
    stage = f"sox -t wav - -t wav - speed {factor:g} |"
    if value.endswith("|"):
        return f"{value} {stage}"
    if is_ark_value(value):
        return f"wav-copy {value} - | {stage}"
    return f"sox {shlex.quote(value)} -t wav - speed {factor:g} |"


def split_speed(value: str) -> tuple[str, float]:
    """A wav.scp value without its speed stages, and their product; the factor is 1 where there is none."""
    factor = 1.0
    while True:
        match = _PLAIN.fullmatch(value)
        if match and (path := _path_of(match["word"])):
            value = path
        elif match := _PIPE.fullmatch(value):
            value = f"{match['command']} |"
        else:
            copied = _ARK.fullmatch(value)
            return (copied["path"] if copied else value), factor
        factor *= float(match["factor"])


def add_channel(path: str, channel: int) -> str:
    """A wav.scp value for one channel (from 0) of a file, as Kaldi's recipe of CHiME-6 writes it."""
    return f"sox {shlex.quote(path)} -t wav - remix {channel + 1} |"


def split_stages(value: str) -> tuple[str, float, int | None]:
    """A wav.scp value without the stages that are done here, its speed, and its channel (from 0) where one selects it.

    What is left ends in ``|`` only if it is a command that has to be run.
    """
    value, factor = split_speed(value)
    match = _CHANNEL.fullmatch(value)
    path = _path_of(match["word"]) if match else ""
    if match and PurePath(path).suffix.lower() in _SELECTED_HERE:
        return path, factor, int(match["number"]) - 1
    return value, factor, None


def _path_of(word: str) -> str:
    """The path that the shell reads in one word; nothing where it would expand something or read several words."""
    try:
        words = shlex.split(word)
    except ValueError:  # a quotation mark without its partner
        return ""
    if len(words) != 1 or words[0].startswith("-"):
        return ""
    plain = word in (shlex.quote(words[0]), f"'{words[0]}'") or _BARE.fullmatch(word)
    return words[0] if plain else ""


def is_ark_value(value: str) -> bool:
    """Whether a wav.scp value looks like ``file.ark:offset``."""
    return re.fullmatch(r"\S+:\d+", value) is not None
