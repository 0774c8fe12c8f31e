"""Make Kaldi data directories of Switchboard-1 release 2 (LDC97S62), by the MS-State transcripts, and of eval2000.

--corpus-dir is a folder with the discs of LDC97S62, LDC2002S09 or LDC2002T43, or one that holds several of them; a
tables/conv.tab in one of them gives the speakers. Test sets need no training data, and the other way round.

Sets: train_dev, the first 4000 utterances that can be used; train_nodev, all others; train_nodup, those of the same
words at most 300 times; eval2000, eval2000_swbd, eval2000_callhm.
"""

import heapq
import logging
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

from words import gaps, read_acronyms, spoken_words

from omni_asr.audio.source import AudioError
from omni_asr.bin import ArgumentParser, run_program
from omni_asr.corpora.audio import TELEPHONE, AudioFile, probe
from omni_asr.corpora.eval2000 import SETS as TEST_SETS
from omni_asr.corpora.eval2000 import find_eval2000, write_eval2000
from omni_asr.corpora.preparing import Preparation, add_options
from omni_asr.corpora.tree import CorpusTree
from omni_asr.corpora.writer import TWICE, SetWriter
from omni_asr.errors import UserError
from omni_asr.kaldi.tables import sort_key, stream_lines, to_number

log = logging.getLogger("prepare")

TRAIN_SETS = ("train_dev", "train_nodev", "train_nodup")
BY_DEFAULT = ("train_dev", "train_nodup", "eval2000")
TRANSCRIPTS = "swb_ms98_transcriptions"
DICTIONARY = "sw-ms98-dict.text"
TRANSCRIPT = "*-trans.text"
CALLS = (2435, 2438)
"""Audio files of the two pressings."""
DISC_DEPTH = 4
_NAME = re.compile(r"sw(\d{4})([AB])-")


@dataclass(frozen=True)
class Utterance:
    """A line of a transcript."""

    id: str
    speaker: str
    recording: str
    start: float
    end: float
    words: str
    gaps: int = 0
    """How many words are left out because their middle is missing."""
    problem: str = ""
    """Why it cannot be used."""


def main(argv: Sequence[str] | None = None) -> None:
    """Prepare the sets that are asked for, or those that are there."""
    parser = ArgumentParser(__doc__)
    add_options(parser, (*TRAIN_SETS, *TEST_SETS))
    parser.add_argument("--transcripts-dir", type=Path, help=f"where {TRANSCRIPTS} is, if not in a --corpus-dir")
    parser.add_argument("--dev-utterances", type=int, default=4000, help="utterances of train_dev")
    parser.add_argument("--max-same", type=int, default=300, help="utterances with the same words in train_nodup")
    options = parser.parse_args(argv)
    preparation = Preparation(options)
    wanted = options.sets or [name for name in BY_DEFAULT if is_there(preparation.tree, name, options.transcripts_dir)]
    if not wanted:
        preparation.tree.need("sw0*.sph", depth=DISC_DEPTH)  # which says that it is not there
    for name in wanted:
        if name in TEST_SETS:
            write_eval2000(preparation, name)
    if any(name in TRAIN_SETS for name in wanted):
        training = Training(preparation, need_transcripts(preparation.tree, options.transcripts_dir))
        training.write([name for name in TRAIN_SETS if name in wanted], options.dev_utterances, options.max_same)


def is_there(tree: CorpusTree, name: str, transcripts_dir: Path | None) -> bool:
    """Whether a set can be made of what is in the tree."""
    return bool(find_eval2000(tree) if name in TEST_SETS else find_calls(tree))


def find_calls(tree: CorpusTree) -> list[Path]:
    """Audio files of calls; where some were converted, those of LDC come first."""
    found = [path for path in tree.find_all("sw0*.*", depth=DISC_DEPTH) if path.suffix.lower() in TELEPHONE]
    return sorted(found, key=lambda path: TELEPHONE.index(path.suffix.lower()))


def find_transcripts(tree: CorpusTree, folder: Path | None) -> Path | None:
    """The folder of the MS-State transcripts, known by its dictionary: its name differs; None where it is not there."""
    trees = [tree] if folder is None else [tree, CorpusTree.of_those_there([folder])]
    found = (each.find(DICTIONARY) for each in trees)
    return next((dictionary.parent for dictionary in found if dictionary), None)


def need_transcripts(tree: CorpusTree, folder: Path | None) -> Path:
    """Like :func:`find_transcripts`.

    Raises:
        UserError: it is not there, or has no transcripts.
    """
    found = find_transcripts(tree, folder)
    if found is None:
        where = ", ".join(map(str, [*tree.roots, *([folder] if folder else [])]))
        raise UserError(
            f"{DICTIONARY}, which lies in the folder of the MS-State transcripts ({TRANSCRIPTS}), is not in {where}; "
            "stage 0 fetches them, or name their folder with --corpus_dir"
        )
    if CorpusTree([found]).find(f"*/*/{TRANSCRIPT}", depth=0) is None:
        raise UserError(f"{found} has {DICTIONARY}, but no transcript NN/NNNN/sw{TRANSCRIPT}; stage 0 fetches them")
    return found


class Training:
    """The training part: its audio, transcripts, acronyms and speakers.

    Raises:
        UserError: audio, dictionary or transcripts are missing.
    """

    def __init__(self, preparation: Preparation, transcripts: Path) -> None:
        self._preparation, self._transcripts = preparation, CorpusTree([transcripts])
        self._audio = self._open_audio()
        dictionary = self._transcripts.need(DICTIONARY, depth=0)
        self._acronyms = read_acronyms(dictionary)
        self._speakers = self._read_speakers()

    def write(self, names: Sequence[str], dev_utterances: int, max_same: int) -> None:
        """Write sets. Transcripts are read twice: for the first utterances and for how often words occur, and again.

        Raises:
            UserError: train_dev would leave nothing to train on.
        """
        repeats: Counter[bytes] = Counter()
        first = heapq.nsmallest(max(1, dev_utterances), self._keys(repeats))[:dev_utterances]  # of 0 it reads nothing
        held_out, usable = {name for _, name, _ in first}, sum(repeats.values())
        if 0 < usable <= dev_utterances and list(names) != ["train_dev"]:
            few = f"--dev_utterances ({dev_utterances}) must be fewer than there are"
            raise UserError(f"train_dev takes all {usable} utterances; {few}")
        repeats.subtract(words for _, _, words in first)
        if "train_dev" in names:
            with self._preparation.writer("train_dev") as writer:
                self._write(writer, (u for u in self._utterances() if u.id in held_out))
        if "train_nodev" in names:
            with self._preparation.writer("train_nodev") as writer:
                self._write(writer, (u for u in self._utterances() if u.id not in held_out))
        if "train_nodup" in names:
            with self._preparation.writer("train_nodup") as writer:
                others = (u for u in self._utterances() if u.id not in held_out)
                self._write(writer, without_repeats(writer, others, repeats, max_same))

    def _keys(self, repeats: Counter[bytes]) -> Iterator[tuple[bytes, str, bytes]]:
        """What to sort usable utterances by; counts their words on the way."""
        for utterance in self._utterances():
            if not utterance.problem and utterance.words:
                words = fingerprint(utterance.words)
                repeats[words] += 1
                yield sort_key(utterance.id), utterance.id, words

    def _write(self, writer: SetWriter, utterances: Iterator[Utterance]) -> None:
        for recording, audio in self._audio.items():
            if isinstance(audio, AudioFile):
                for channel, letter in enumerate("AB"):
                    writer.channel(f"{recording}-{letter}", audio, recording, channel)
        for utterance in utterances:
            if not utterance.words:
                writer.exclude(utterance.id, "has no words, or only fragments of words")
            elif utterance.problem:
                writer.remove(utterance.id, utterance.problem)
            else:
                if utterance.gaps:
                    writer.notes["words without their middle, such as so[me]thing, were left out"] += utterance.gaps
                segment = (utterance.recording, utterance.start, utterance.end)
                writer.utterance(utterance.id, utterance.speaker, utterance.words, segment=segment)

    def _utterances(self) -> Iterator[Utterance]:
        """All lines of all transcripts, call by call; of those with the same id the first that can be used is used."""
        for call in sorted(self._transcripts.find_all("*/*", depth=0)):
            usable = set()
            for path in self._transcripts.files(call, TRANSCRIPT):
                for number, line in enumerate(stream_lines(path), 1):
                    if line.strip():
                        utterance = self._utterance(line, f"{path}:{number}")
                        if utterance.id in usable:
                            utterance = replace(utterance, problem=TWICE)
                        elif utterance.words and not utterance.problem:
                            usable.add(utterance.id)
                        yield utterance

    def _utterance(self, line: str, where: str) -> Utterance:
        fields = line.split(maxsplit=3)
        match = _NAME.match(fields[0])
        if len(fields) < 3 or not match:
            raise UserError(f"{where}: expected 'swNNNNA-ms98-a-NNNN <start> <end> <words>', not {line.strip()!r}")
        call, side = f"sw{int(match[1]):05d}", match[2]
        start, end = to_number(fields[1], where), to_number(fields[2], where)
        speaker = name = f"{call}-{side}"
        if name in self._speakers:
            speaker = f"sw{self._speakers[name]}"
            name = f"{speaker}-{call[2:]}-{side}"
        text = fields[3] if len(fields) > 3 else ""
        name = f"{name}_{int(100 * start + 0.5):06d}-{int(100 * end + 0.5):06d}"
        words, problem = spoken_words(text, self._acronyms), self._problem(call, start, end)
        return Utterance(name, speaker, f"{call}-{side}", start, end, words, gaps(text), problem)

    def _problem(self, call: str, start: float, end: float) -> str:
        audio = self._audio.get(call, f"has no audio file {call}.sph")
        if isinstance(audio, str):
            return audio
        if not start < end:
            return f"ends at {end:g} s, which is not after its start at {start:g} s"
        if start >= audio.seconds:
            return f"starts at {start:g} s, after the end of the audio"
        first, last = max(start, 0.0), min(end, audio.seconds)
        return f"is shorter than a millisecond, at {start:g} s" if f"{first:.3f}" == f"{last:.3f}" else ""

    def _open_audio(self) -> dict[str, AudioFile | str]:
        """Every call's audio, or why it cannot be used."""
        paths: dict[str, Path] = {}
        for path in find_calls(self._preparation.tree):
            paths.setdefault(path.stem.lower(), path)
        if not paths:
            self._preparation.tree.need("sw0*.sph", depth=DISC_DEPTH)
        if len(paths) not in CALLS:
            log.warning("LDC97S62: %d audio files, not the official %s", len(paths), " or ".join(map(str, CALLS)))
        return dict(self._preparation.in_parallel(opened, sorted(paths.items())))

    def _read_speakers(self) -> dict[str, str]:
        """The numbers of the speakers, by call and side, where there is a conv.tab."""
        path = self._preparation.tree.find("conv.tab")
        if path is None:
            log.info("no tables/conv.tab: each side of a call is a speaker")
            return {}
        speakers, without = {}, []
        for number, line in enumerate(stream_lines(path), 1):
            fields = [field.strip() for field in line.split(",")]
            if len(fields) >= 4 and fields[0].isdigit() and fields[2] and fields[3]:
                speakers[f"sw{int(fields[0]):05d}-A"] = fields[2]
                speakers[f"sw{int(fields[0]):05d}-B"] = fields[3]
            elif line.strip():
                without.append(number)
        if without:
            hint = "expected '<call>,<...>,<speaker of A>,<speaker of B>'; each side of such a call is a speaker"
            log.warning("%s:%d: %s (%d such lines)", path, without[0], hint, len(without))
        return speakers


def opened(item: tuple[str, Path]) -> tuple[str, AudioFile | str]:
    """A call and its audio, or why that cannot be used."""
    call, path = item
    try:
        audio = probe(path)
    except AudioError as error:
        return call, f"has audio that cannot be read: {error}"
    return call, audio if audio.channels == 2 else f"has audio of {audio.channels} channels, not two: {path}"


def without_repeats(
    writer: SetWriter, utterances: Iterator[Utterance], repeats: Counter[bytes], most: int
) -> Iterator[Utterance]:
    """Utterances without those whose words occur more than ``most`` times: so many of them, evenly spread, stay."""
    seen: Counter[bytes] = Counter()
    for utterance in utterances:
        words = fingerprint(utterance.words)
        if utterance.words and not utterance.problem and repeats[words] > most:
            seen[words] += 1
            if seen[words] * most // repeats[words] == (seen[words] - 1) * most // repeats[words]:
                writer.exclude(utterance.id, f"is one of too many with the same words; --max_same keeps {most}")
                continue
        yield utterance


def fingerprint(words: str) -> bytes:
    """Eight bytes that stand for words; that two share them is as unlikely as it is harmless."""
    return blake2b(words.encode(), digest_size=8).digest()


if __name__ == "__main__":
    sys.exit(run_program(main))
