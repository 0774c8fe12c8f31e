"""Make Kaldi data directories of CallHome American English (LDC97S42, LDC97T14), and of eval2000.

--corpus-dir is a folder of LDC97S42, LDC97T14, LDC2002S09 or LDC2002T43, or one that holds several of them. Calls of
eval2000 come from the same collection: train, devtest and evltest never have them, where eval2000 is there to tell.

Sets: train, devtest, evltest (the test of 1997); eval2000_callhm (the one of published tables), eval2000,
eval2000_swbd.
"""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from turns import Turn, read_turns, spoken_words

from omni_asr.audio.source import AudioError
from omni_asr.bin import ArgumentParser, run_program
from omni_asr.corpora.audio import TELEPHONE, AudioFile, probe
from omni_asr.corpora.eval2000 import SETS as TEST_SETS
from omni_asr.corpora.eval2000 import calls_of, find_eval2000, write_eval2000
from omni_asr.corpora.preparing import Preparation, add_options
from omni_asr.corpora.tree import CorpusTree
from omni_asr.corpora.writer import SetWriter
from omni_asr.errors import UserError

log = logging.getLogger("prepare")

FOLDERS = {"train": ("train",), "devtest": ("devtest",), "evltest": ("evltest", "evaltest")}
"""Sets of 1997 and how their folders are spelt: one way in LDC97S42, another in LDC97T14."""
CALLS = {"train": 80, "devtest": 20, "evltest": 20}
BY_DEFAULT = ("train", "devtest", "evltest", "eval2000_callhm")
DISC_DEPTH = 4
TRANSCRIPT = (".txt",)
WITHOUT_1997 = "; eval2000 is there: --test_sets eval2000_callhm evaluates on it alone"


def main(argv: Sequence[str] | None = None) -> None:
    """Prepare the sets that are asked for, or those that are there."""
    parser = ArgumentParser(__doc__)
    add_options(parser, (*FOLDERS, *TEST_SETS))
    options = parser.parse_args(argv)
    preparation = Preparation(options)
    tree = preparation.tree
    wanted = options.sets or [
        name
        for name in BY_DEFAULT
        if (find_eval2000(tree) if name in TEST_SETS else find_calls(tree, name, TRANSCRIPT))
    ]
    if not wanted:
        tree.need("train/en_*.txt", depth=DISC_DEPTH)
    for name in wanted:
        if name in TEST_SETS:
            write_eval2000(preparation, name)
        else:
            write_set(preparation, name)


def find_calls(tree: CorpusTree, name: str, kinds: Sequence[str]) -> dict[str, Path]:
    """Audio (TELEPHONE) or transcripts (TRANSCRIPT) of the calls of a set; the first of some suffixes is preferred."""
    calls: dict[str, Path] = {}
    for kind in kinds:
        for folder in FOLDERS[name]:
            for path in tree.find_all(f"{folder}/en_*{kind}", depth=DISC_DEPTH):
                calls.setdefault(path.stem.lower(), path)
    return dict(sorted(calls.items()))


def write_set(preparation: Preparation, name: str) -> None:
    """Write a set of 1997."""
    tree = preparation.tree
    audio, transcripts = find_calls(tree, name, TELEPHONE), find_calls(tree, name, TRANSCRIPT)
    tested = calls_of(tree)
    for found, kind, package in ((audio, "sph", "LDC97S42"), (transcripts, "txt", "LDC97T14")):
        if not found:
            where = ", ".join(map(str, tree.roots))
            lacking = f"{FOLDERS[name][0]}/en_*.{kind} of {package} is not in {where}; name it with --corpus_dir"
            raise UserError(lacking + (WITHOUT_1997 if name == "evltest" and tested else ""))
    if not tested:
        log.warning("%s: without a copy of eval2000, its calls cannot be kept out of this set", name)
    if len(transcripts) != CALLS[name]:
        log.warning("%s: %d transcripts of calls, not the official %d", name, len(transcripts), CALLS[name])
    with preparation.writer(name) as writer:
        opened = preparation.in_parallel(lambda call: open_call(audio.get(call)), transcripts)
        for (call, transcript), recording in zip(transcripts.items(), opened, strict=True):
            if isinstance(recording, AudioFile):
                for channel, letter in enumerate("AB"):
                    writer.channel(f"{call}-{letter}", recording, call, channel)
            for turn in read_turns(transcript):
                write_turn(writer, call, turn, recording, call in tested, name == "train")
        for call in sorted(audio.keys() - transcripts.keys()):
            writer.remove(call, "has audio, but no transcript")


def open_call(path: Path | None) -> AudioFile | str:
    """The audio of a call, or why it cannot be used."""
    if path is None:
        return "has no audio file of its name"
    try:
        audio = probe(path)
    except AudioError as error:
        return f"has audio that cannot be read: {error}"
    return audio if audio.channels == 2 else f"has audio of {audio.channels} channels, not two: {path}"


def write_turn(
    writer: SetWriter, call: str, turn: Turn, recording: AudioFile | str, is_tested: bool, is_train: bool
) -> None:
    """Add a turn, or say why not. All ids have ``-`` after the speaker: A1 would not sort behind A otherwise."""
    side = f"{call}-{turn.side}"
    speaker = f"{side}{turn.number}"
    name = f"{speaker}-{int(100 * turn.start + 0.5):07d}-{int(100 * max(0.0, turn.end) + 0.5):07d}"
    words = spoken_words(turn.text)
    if is_tested:
        writer.exclude(name, "is of a call of eval2000")
    elif turn.problem:
        writer.remove(name, turn.problem)
    elif turn.is_foreign:
        writer.exclude(name, "has words of another language")
    elif turn.is_guess and is_train:
        writer.exclude(name, "has words that the transcriber guessed")
    elif not words:
        writer.exclude(name, "has no words, or only fragments of words")
    elif turn.unspoken:
        writer.remove(name, f"has {turn.unspoken!r}, and how that was spoken is not known")
    elif isinstance(recording, str):
        writer.remove(name, recording)
    else:
        writer.utterance(name, speaker, words, segment=(side, turn.start, turn.end))


if __name__ == "__main__":
    sys.exit(run_program(main))
