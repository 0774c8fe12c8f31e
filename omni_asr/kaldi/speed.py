"""The speed stage of ``wav.scp``: how a perturbed recording is written, and how it is recognised again.

Kaldi can run the line with sox; here the stage is taken off and the audio is resampled instead, without sox.
"""

import re
import shlex

_FACTOR = r"(?P<factor>\d+(?:\.\d+)?)"
_PLAIN = re.compile(rf"sox (?:-t \w+ )?(?P<word>\S.*) -t wav - speed {_FACTOR} *\|")
_BARE = re.compile(r"[^\s'\"\\$`*?;&|<>()~#][^\s'\"\\$`*?;&|<>()#]*")
_PIPE = re.compile(rf"(?P<command>.*\S) *\| *sox -t wav - -t wav - speed {_FACTOR} *\|")
_ARK = re.compile(r"wav-copy (?P<path>\S+:\d+) - *\|")


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
