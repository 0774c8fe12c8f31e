"""Make Kaldi data directories of Libriheavy, and of LibriSpeech, which models trained on it are tested on.

--corpus-dir names the folders of the audio (Libri-Light, with small/, medium/, large/), of the manifests
(libriheavy_cuts_small.jsonl.gz and so on) and of LibriSpeech; repeat it, or name one folder that holds them.

Sets: small, medium, large, lh_dev, lh_test_clean, lh_test_other, lh_test_clean_large, lh_test_other_large; and those of
LibriSpeech: dev, dev_clean, dev_other, test_clean, test_other, train_960, ...
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from libriheavy import SETS, Cut, audio_parts, chunks, manifest, read_cuts

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.corpora import librispeech
from omni_asr.corpora.preparing import Preparation, add_options
from omni_asr.corpora.writer import SetWriter
from omni_asr.errors import UserError


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


def is_there(preparation: Preparation, name: str) -> bool:
    """Whether the corpus has everything that a set is made from."""
    if name in librispeech.SETS:
        return all(preparation.tree.find(part) for part in librispeech.SETS[name])
    found = [find_manifest(preparation, part) for part in SETS[name]]
    return all(found) and all(preparation.tree.find(part, depth=1) for part in audio_parts(name))


def find_manifest(preparation: Preparation, part: str) -> Path | None:
    """A manifest, packed or unpacked; not looked for among the many folders of the audio."""
    return preparation.tree.find(manifest(part), manifest(part).removesuffix(".gz"), depth=1)


def write_set(preparation: Preparation, name: str) -> None:
    """Write a set of Libriheavy."""
    manifests = [
        find_manifest(preparation, part) or preparation.tree.need(manifest(part), depth=1) for part in SETS[name]
    ]
    folders: dict[str, Path] = {}
    for part in audio_parts(name):
        folder = preparation.tree.find(part, depth=1)
        if folder is None:
            raise UserError(
                f"the audio of {name} is in {', '.join(audio_parts(name))} of Libri-Light, and --corpus_dir has no "
                f"{part}/; dev and test sets are part of large"
            )
        folders[part] = folder
    with preparation.writer(name) as writer:
        recordings = Recordings(writer, folders)
        for path in manifests:
            for cuts in preparation.in_processes(read_cuts, chunks(path)):
                for cut in cuts:
                    add(writer, recordings, cut)


class Recordings:
    """The chapters that a set has cuts of: each is looked up and handed to the writer when it is first met."""

    def __init__(self, writer: SetWriter, folders: dict[str, Path]) -> None:
        self.writer, self.folders = writer, folders
        self._found: dict[str, bool] = {}

    def has(self, cut: Cut) -> bool:
        """Whether the audio of a cut is there."""
        if cut.recording not in self._found:
            part, _, rest = cut.path.partition("/")
            path = self.folders[part] / rest if part in self.folders else None
            self._found[cut.recording] = path is not None and path.is_file()
            if self._found[cut.recording]:
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
        if cut.heard:
            writer.notes["texts with numbers, signs or foreign letters, in the words of the recogniser"] += 1
        writer.utterance(cut.name, cut.speaker, cut.words, segment=(cut.recording, cut.start, cut.end))


if __name__ == "__main__":
    sys.exit(run_program(main))
