"""Fetch the headsets of the meetings of AMI (CC BY 4.0) that some sets need, and the annotations 1.6.2, from the
corpus's own site, where --corpus-dir lacks them: 687 recordings, 45 GB, one by one.

An interrupted download goes on where it stopped, and what is there is not fetched again.
"""

import sys
from collections.abc import Sequence

from meetings import HEADSETS, SETS
from prepare import MEETINGS, find_headsets

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.corpora.download import Archive, fetch, fetch_all
from omni_asr.corpora.preparing import add_fetching_options
from omni_asr.corpora.tree import CorpusTree

URL = "https://groups.inf.ed.ac.uk/ami"
ANNOTATIONS = "AMICorpusAnnotations/ami_public_manual_1.6.2.zip"


def main(argv: Sequence[str] | None = None) -> None:
    """Fetch what is missing."""
    parser = ArgumentParser(__doc__)
    add_fetching_options(parser, SETS, URL)
    options = parser.parse_args(argv)
    sets = list(dict.fromkeys(options.sets or SETS))
    folder = options.corpus_dir[0]
    tree = CorpusTree.of_those_there(options.corpus_dir)
    annotations = Archive(f"{options.url}/{ANNOTATIONS}")
    half = folder / "annotations" / ".archives" / annotations.name  # it is removed when all of it is unpacked
    if half.exists() or not tree.find(MEETINGS):
        fetch_all([annotations], folder / "annotations")
    there = find_headsets(tree)
    wanted = [
        (meeting, f"{meeting}.Headset-{number}.wav")
        for name in sets
        for meeting in SETS[name]
        for number in range(HEADSETS.get(meeting, 4))
    ]
    missing = [(meeting, file) for meeting, file in wanted if file.removesuffix(".wav").lower() not in there]
    print(f"{len(wanted) - len(missing)} of {len(wanted)} recordings of {', '.join(sets)} are there")
    for meeting, file in missing:
        archive = Archive(f"{options.url}/AMICorpusMirror/amicorpus/{meeting}/audio/{file}")
        fetch(archive, folder / "amicorpus" / meeting / "audio")


if __name__ == "__main__":
    sys.exit(run_program(main))
