"""Fetch what --corpus-dir lacks of FLEURS, American English (CC BY 4.0), from its place on the Hugging Face hub.

An interrupted download goes on where it stopped; sizes and checksums are checked where they are known; what is there is
not fetched again. Archives are unpacked, whole or not at all, and those that were fetched are removed. What a mirror
sends (--url) is checked only if it is whole.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from layout import SETS, Part, find_part, need_part, unpack_older

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.corpora.download import Archive, fetch
from omni_asr.corpora.preparing import add_fetching_options
from omni_asr.corpora.tree import CorpusTree

URL = "https://huggingface.co/datasets/google/fleurs/resolve/main/data/en_us"
KNOWN = {  # size in bytes and SHA-256 of what the hub has had since 2022
    "dev.tsv": (213065, "9d57ee7e91e9d4c92edb39f6bbea668ef8dc2a3ff96eb510d5580b2ad05d17ec"),
    "audio/dev.tar.gz": (171250900, "2658fda72f199e12676ecac9415094667a4e14e149b146e568ea00b2a2f0954c"),
    "test.tsv": (367864, "74c046239374deeb60fa63f258f907388093a32bcaa3140965f70ef05c79f7ca"),
    "audio/test.tar.gz": (289851356, "d9c2e37b41aacd41bc283554a0a82b5476b36887049774ecb2819dcaaa55a356"),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Fetch and unpack what is missing."""
    parser = ArgumentParser(__doc__)
    add_fetching_options(parser, SETS, URL)
    options = parser.parse_args(argv)
    folders = options.corpus_dir
    tree = unpack_older(CorpusTree.of_those_there(folders), folders)
    for name in options.sets or SETS:
        part = find_part(tree, name)
        if part.table and part.audio:
            print(f"{part.audio} is there: nothing to fetch")
            continue
        archive = fetch_part(name, part, folders[0] / "data" / "en_us", options.url)
        need_part(CorpusTree.of_those_there(folders), name, folders)
        if archive is not None:
            archive.unlink()


def fetch_part(name: str, part: Part, folder: Path, url: str) -> Path | None:
    """Fetch what is missing of a set, beside its list where one may write.

    Args:
        name: of the set.
        part: what there is of it.
        folder: en_us, which gets what cannot lie beside a list.
        url: where the hub, or a mirror, has en_us.

    Returns:
        The archive of its audio, if that is new.
    """
    table, archive = f"{name}.tsv", f"audio/{name}.tar.gz"
    if part.table is None:
        fetch(Archive(f"{url}/{table}", *known(table, url)), folder)
    elif os.access(part.table.parent, os.W_OK):
        folder = part.table.parent
    if part.archive is not None or (folder / archive).exists():
        return None
    return fetch(Archive(f"{url}/{archive}", *known(archive, url)), folder / "audio")


def known(file: str, url: str) -> tuple[int | None, str | None]:
    """Size, MD5 sum and SHA-256 of a file, where they are known."""
    return KNOWN.get(file, (None, None)) if url == URL else (None, None)


if __name__ == "__main__":
    sys.exit(run_program(main))
