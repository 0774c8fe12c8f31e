"""Every recipe: what it needs, and what its stages 1 and 2 must leave of the fake copy of its corpus."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A recipe with a corpus.

    ``tests/corpora/<name>.py`` makes a fake copy with ``make(root)``, which returns the values of ``--corpus_dir``;
    ``tests/corpora/expected/<name>/<set>/<table>`` is what must be in ``data/``, with CORPUS for the copy's folder.
    """

    name: str
    sets: tuple[str, ...]
    """Sets with features after stage 2."""
    programs: tuple[str, ...] = ()
    """Programs that the preparation calls."""
    options: tuple[str, ...] = ()
    """Options of run.sh, beside those that every row has and data_options."""
    data_options: tuple[str, ...] = ()
    """Options of run.sh that go on to local/data.sh, as ``--name=value``."""


ROWS = [
    Row("librispeech", ("train_960", "dev", "test_clean", "test_other", "dev_clean", "dev_other")),
    Row(
        "wsj",
        ("train_si284", "test_dev93", "test_eval92", "test_eval93"),
        programs=("ffmpeg",),
        options=("--speed_perturb=false", "--test_sets=test_dev93 test_eval92 test_eval93"),
    ),
    Row("commonvoice", ("train", "dev", "test")),
    Row("fleurs", ("train", "dev", "test"), options=("--speed_perturb", "false")),
    Row("tedlium", ("train", "dev", "test"), programs=("ffmpeg",)),
    Row("voxpopuli", ("train", "dev", "test")),
    Row("ami", ("train", "dev", "eval"), options=("--speed_perturb", "false")),
    Row("chime6", ("train", "dev", "eval"), options=("--speed_perturb", "false")),
    Row(
        "libriheavy",
        ("medium", "lh_dev", "dev", "test_clean"),
        options=("--train_set", "medium", "--test_sets", "test_clean lh_dev"),
    ),
    Row(
        "switchboard",
        ("train_nodup", "train_dev", "eval2000"),
        ("ffmpeg",),
        ("--vocab_size", "40", "--speed_perturb", "false"),
        ("--dev_utterances=2", "--max_same=2"),
    ),
    Row(
        "callhome",
        ("train", "devtest", "eval2000_callhm", "evltest"),
        ("ffmpeg",),
        ("--vocab_size", "40", "--speed_perturb", "false"),
    ),
]
ELSEWHERE = {
    "mini": "tests/tiny_recipe.sh, test_recipe_mini_data.py",
    "fsdd": "test_recipe_fsdd_data.py",
    "benchmark": "test_recipe_benchmark.py",
}
"""Recipes that are tested by other files."""
