"""What the programs of ``egs/<corpus>/local`` begin with: their options, and the folders that those name."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from omni_asr.corpora.tree import CorpusTree
from omni_asr.corpora.writer import MAX_REMOVED, SetWriter

Item = TypeVar("Item")
Result = TypeVar("Result")


def add_options(parser: ArgumentParser, sets: Collection[str]) -> None:
    """The options of every preparation; a corpus, whose sets these are, adds its own."""
    parser.add_argument("--corpus-dir", action="append", required=True, help="folder of the corpus; may be repeated")
    parser.add_argument("--data-dir", type=Path, required=True, help="where the data directories are written")
    _add_sets(parser, sets)
    parser.add_argument("--max-removed", type=float, default=MAX_REMOVED, help="share of a set that may be lost")
    parser.add_argument("--nj", type=int, default=1, help="files read at a time, where that pays")
    parser.add_argument(
        "--plain-paths",
        choices=("true", "false"),
        default="false",
        help="name files of several channels by their paths; only reco2file_and_channel then selects the channel",
    )


def add_fetching_options(parser: ArgumentParser, sets: Collection[str], url: str) -> None:
    """The options of every program that fetches a corpus from a server."""
    parser.add_argument(
        "--corpus-dir", type=Path, action="append", required=True, help="folder; the first gets what none of them has"
    )
    parser.add_argument("--url", default=url, help="server, such as a mirror nearer by")
    _add_sets(parser, sets)


def _add_sets(parser: ArgumentParser, sets: Collection[str]) -> None:
    def known(name: str) -> str:
        if name not in sets:
            raise ArgumentTypeError(f"there is no set {name}; there are {', '.join(sets)}")
        return name

    parser.add_argument(
        "--sets", type=known, action="append", metavar="SET", help="a set; may be repeated; by default all"
    )


class Preparation:
    """Where a preparation reads and writes, from the options of :func:`add_options`.

    Raises:
        UserError: a folder of the corpus does not exist.
    """

    def __init__(self, options: Namespace) -> None:
        self.tree = CorpusTree(options.corpus_dir)
        self.data_dir: Path = options.data_dir
        self.jobs: int = max(1, options.nj)
        self._sets: list[str] | None = options.sets
        self._max_removed: float = options.max_removed
        self._plain_paths: bool = options.plain_paths == "true"

    def writer(self, name: str, keep_empty: bool = False) -> SetWriter:
        """A writer of the data directory of a set."""
        return SetWriter(self.data_dir / name, keep_empty, self._max_removed, self._plain_paths)

    def wants(self, name: str) -> bool:
        """Whether a set is to be prepared."""
        return self._sets is None or name in self._sets

    def in_parallel(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Results of ``work`` in the order of the items, ``--nj`` at a time: for opening files, not for computing."""
        with ThreadPoolExecutor(self.jobs) as pool:
            yield from self._in_order(pool, work, items)

    def in_processes(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Results of ``work`` in the order of the items, from ``--nj`` processes: for computing, such as parsing.

        ``work`` is a function of a module, items and results travel between processes: hand over some hundred lines at
        a time. With one job it is called here.
        """
        if self.jobs == 1:
            yield from map(work, items)
            return
        with ProcessPoolExecutor(self.jobs - 1) as pool:  # this process has work of its own: reading and writing
            yield from self._in_order(pool, work, items)

    def _in_order(self, pool: Executor, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > 4 * self.jobs:  # a corpus may have millions of items
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:  # after an error or Ctrl-C the pool waits for what it still has to do
                future.cancel()
