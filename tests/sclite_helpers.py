"""The installed sclite, and random transcripts that use all of its markup."""

import random
import re
import shutil
import subprocess

from omni_asr.scoring.align import fold_case
from omni_asr.scoring.markup import align_texts

SCLITE = shutil.which("sclite") or shutil.which("sclite", path="/usr/lib/sctk/bin")
ALPHABET = ["a", "b", "ab", "abc", "é", "über", "日本", "don't"]
MARKS = [
    "({})",
    "{}-",
    "-{}",
    "({}-)",
    "@",
    "{}*",
    "{};tag",
    "{};",
    ";{}",
    "{}\\",
    "\\{}",
    "{}\\;",
    "{}*;",
    "({};)",
    "\\",
]
STEP = re.compile(r'([CSDI]),("[^"]*")?,("[^"]*")?(?::|$)')


def options_of(markup):
    """Options of sclite for our marks."""
    flags = {"-D": markup.optional, "-F": markup.fragments, "-s": markup.case_sensitive}
    return [flag for flag, on in flags.items() if on]


def align_with_sclite(pairs, folder, *options):
    """Steps ``(letter, reference word, hypothesis word)`` of each pair of transcripts, from one call of sclite."""
    for side, name in enumerate(("ref.trn", "hyp.trn")):
        lines = (f"{pair[side]} (s-{index})\n" for index, pair in enumerate(pairs))
        (folder / name).write_text("".join(lines), encoding="utf-8")
    command = [SCLITE, "-r", "ref.trn", "trn", "-h", "hyp.trn", "trn", "-i", "rm", "-o", "sgml", "stdout", *options]
    output = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", check=True).stdout
    found = {}
    for number, path in re.findall(r'<PATH id="\(s-(\d+)\)"[^>]*>\n(.*)\n</PATH>', output):
        found[int(number)] = [tuple(map(sgml_word, step)) for step in STEP.findall(path)]
    assert sorted(found) == list(range(len(pairs)))
    return [found[index] for index in range(len(pairs))]


def sgml_word(part):
    """A word of the SGML file without its quotes and tags."""
    return re.sub(r"(?<!\\);.*", "", part.strip('"')).replace("\\", "")


def align_here(pairs, markup):
    """The same steps from our alignment, case folded as sclite prints it."""
    fold = str if markup.case_sensitive else fold_case
    found = []
    for alignment in align_texts(*map(list, zip(*pairs, strict=True)), markup):
        left, right = map(fold, alignment.reference), map(fold, alignment.hypothesis)
        found.append(
            [
                (letter, next(left) if letter != "I" else "", next(right) if letter != "D" else "")
                for letter in alignment.operations
            ]
        )
    return found


def plain_text(source, words, length):
    """Words and nothing else, in random case."""
    return " ".join(source.choice([str.lower, str.upper])(source.choice(words)) for _ in range(length))


def marked_text(source, words, length, depth=0):
    """Words, fragments, optional words, nothings and nested alternations."""
    parts = []
    for _ in range(length):
        word = plain_text(source, words, 1)
        if depth < 3 and source.random() < 0.12:
            branches = [
                marked_text(source, words, source.randint(1, 3), depth + 1) if source.random() < 0.8 else "@"
                for _ in range(source.randint(1, 4))
            ]
            word = "{ " + " / ".join(branches) + " }"
        elif source.random() < 0.25:
            word = source.choice(MARKS).replace("{}", word)
        parts.append(word)
    return " ".join(parts)


def random_pairs(number, seed, text=marked_text, lengths=(0, 1, 3, 8, 15, 40)):
    """Pairs of transcripts over small alphabets, where ties abound, and over large ones; some are near copies."""
    source = random.Random(seed)
    for _ in range(number):
        size = source.choice([1, 2, 3, 5, 8, 500])
        words = ALPHABET[:size] if size <= len(ALPHABET) else [f"w{index}" for index in range(size)]
        longest = source.choice(lengths)
        reference = text(source, words, source.randint(0, longest))
        if source.random() < 0.3 and "{" not in reference:
            hypothesis = " ".join(word for word in reference.split() if source.random() < 0.9)
        else:
            hypothesis = text(source, words, source.randint(0, longest))
        yield reference, hypothesis
