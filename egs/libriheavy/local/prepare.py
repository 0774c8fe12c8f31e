"""Make Kaldi data directories of Libriheavy, and of LibriSpeech, which models trained on it are tested on.

--corpus-dir names the folders of the audio (Libri-Light, with small/, medium/, large/), of the manifests
(libriheavy_cuts_small.jsonl.gz and so on) and of LibriSpeech; repeat it, or name one folder that holds them.

The audio of a part may be in several places. Sets that are scored (lh_...) keep every cut, and what is scored is what
the book says: text_verbatim in Libriheavy's own normalisation, text_whisper as it is printed.

Sets: small, medium, large, lh_dev, lh_test_clean, lh_test_other, lh_test_clean_large, lh_test_other_large; and those of
LibriSpeech: dev, dev_clean, dev_other, test_clean, test_other, train_960, ...
"""

import logging
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from libriheavy import SETS, TRAINING, Cut, audio_parts, chunks, find_audio, find_manifest, manifest, read_cuts

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.corpora import librispeech
from omni_asr.corpora.preparing import Preparation, add_options
from omni_asr.corpora.writer import SetWriter
from omni_asr.errors import UserError
from omni_asr.kaldi.tables import read_ids

log = logging.getLogger("prepare")


def main(argv: Sequence[str] | None = None) -> None:
    """Prepare the sets that are asked for, or all that are there."""
    parser = ArgumentParser(__doc__)
    known = SETS | librispeech.SETS
    add_options(parser, known)
    options = parser.parse_args(argv)
    preparation = Preparation(options)
    for name in known:
        if preparation.wants(name) and (options.sets is not None or is_there(preparation, name)):
            if name in SETS:
                write_set(preparation, name)
            else:
                librispeech.write_set(preparation, name)
    warn_of_shared_readers(preparation.data_dir)


def is_there(preparation: Preparation, name: str) -> bool:
    """Whether the corpus has everything that a set is made from."""
    tree = preparation.tree
    if name in librispeech.SETS:
        return all(librispeech.part_folders(tree, part) for part in librispeech.SETS[name])
    found = [find_manifest(tree, part) for part in SETS[name]]
    return all(found) and all(find_audio(tree, part) for part in audio_parts(name))


def write_set(preparation: Preparation, name: str) -> None:
    """Write a set of Libriheavy; of those that are scored, with what is scored."""
    tree, is_scored = preparation.tree, name not in TRAINING
    manifests = [find_manifest(tree, part) or tree.need(manifest(part), depth=1) for part in SETS[name]]
    folders = {part: find_audio(tree, part) for part in audio_parts(name)}
    lacking = [part for part, found in folders.items() if not found]
    if lacking:
        raise UserError(
            f"the audio of {name} is in {', '.join(folders)} of Libri-Light, and --corpus_dir has no {lacking[0]}/ "
            "with <speaker>/<book>/<chapter>.flac; dev and test sets are part of large"
        )
    read = partial(read_cuts, is_scored=is_scored)
    with preparation.writer(name, keep_empty=is_scored) as writer:
        recordings = Recordings(writer, folders)
        for path in manifests:
            for cuts in preparation.in_processes(read, chunks(path)):
                for cut in cuts:
                    add(writer, recordings, cut)


class Recordings:
    """The chapters that a set has cuts of: each is looked up and handed to the writer when it is first met."""

    def __init__(self, writer: SetWriter, folders: Mapping[str, Sequence[Path]]) -> None:
        self.writer, self.folders = writer, folders
        self._found: dict[str, bool] = {}

    def has(self, cut: Cut) -> bool:
        """Whether the audio of a cut is there."""
        if cut.recording not in self._found:
            part, _, rest = cut.path.partition("/")
            path = next((path for folder in self.folders.get(part, ()) if (path := folder / rest).is_file()), None)
            self._found[cut.recording] = path is not None
            if path:
                self.writer.recording(cut.recording, str(path), seconds=cut.length)
        return self._found[cut.recording]


def add(writer: SetWriter, recordings: Recordings, cut: Cut) -> None:
    """Hand a cut to the writer, or the reason why it is left out."""
    if cut.problem and cut.speaker:
        writer.exclude(cut.name, cut.problem)
    elif cut.problem:
        writer.remove(cut.name, cut.problem)
    elif not recordings.has(cut):
        writer.remove(cut.name, f"has no audio file '{cut.path}'")
    else:
        if cut.heard and cut.words:
            writer.notes["texts with numbers, signs or foreign letters, in the words of the recogniser"] += 1
        segment = (cut.recording, cut.start, cut.end)
        writer.utterance(cut.name, cut.speaker, cut.words, segment=segment, **cut.tables)


def warn_of_shared_readers(data_dir: Path) -> None:
    """Warn where a training set has readers of LibriSpeech's dev or test sets; both have their numbers of LibriVox."""
    readers = {}
    for name in TRAINING:
        if (data_dir / name / "spk2utt").is_file():
            speakers = read_ids(data_dir / name / "spk2utt")
            readers[name] = {speaker.removeprefix("lh-").lstrip("0") for speaker in speakers}
    for test in librispeech.SETS:
        if test.startswith("train") or not (data_dir / test / "spk2utt").is_file():
            continue
        tested = set(read_ids(data_dir / test / "spk2utt"))
        for name, speakers in readers.items():
            if shared := sorted(speakers & tested):
                log.warning(
                    "%s has %d of the %d readers of %s, first %s", name, len(shared), len(tested), test, shared[0]
                )


if __name__ == "__main__":
    sys.exit(run_program(main))
