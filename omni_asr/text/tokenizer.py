"""Output units: characters or sentencepiece pieces. Unit 0 is the CTC blank.

A language directory holds ``type``, ``tokens.txt`` (``<unit> <id>`` lines, the blank first) and, for sentencepiece,
``spm.model``.
"""

import io
import logging
import os
import random
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import sentencepiece

from omni_asr.errors import UserError
from omni_asr.files import atomic_write
from omni_asr.read_files import read_text, shortened, well_formed

BLANK = "<blank>"
UNKNOWN = "<unk>"
SPACE = "\u2581"
"""The space as a unit, as sentencepiece writes it."""

MOST_LINES = 500_000
"""Lines that units are made from; sentencepiece takes about 6 KB of memory for each."""

log = logging.getLogger(__name__)


class Tokenizer(ABC):
    """Words to unit ids and back."""

    type: str
    units: list[str]
    unknown_id: int
    """Of ``<unk>``."""

    @property
    def size(self) -> int:
        """Number of units with the blank."""
        return len(self.units)

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Return the ids of a transcript; what the units cannot spell becomes ``<unk>``."""

    @abstractmethod
    def unknown(self, text: str) -> list[str]:
        """Return the pieces of a transcript that become ``<unk>``, in order."""

    @abstractmethod
    def decode(self, ids: Sequence[int]) -> str:
        """Return the words of unit ids, without blanks or repetitions left in."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Everything needed to build the tokenizer again, for a model that carries its own."""


class CharTokenizer(Tokenizer):
    """One unit per character; the space is ``▁``."""

    type = "char"

    def __init__(self, units: Sequence[str]) -> None:
        self.units = list(units)
        self.ids = {unit: index for index, unit in enumerate(self.units)}
        self.unknown_id = self.ids.get(UNKNOWN, -1)

    def encode(self, text: str) -> list[int]:
        """See :meth:`Tokenizer.encode`."""
        return [self.ids.get(unit, self.ids[UNKNOWN]) for unit in SPACE.join(text.split())]

    def unknown(self, text: str) -> list[str]:
        """See :meth:`Tokenizer.unknown`."""
        return [unit for unit in "".join(text.split()) if unit not in self.ids]

    def decode(self, ids: Sequence[int]) -> str:
        """See :meth:`Tokenizer.decode`."""
        text = "".join(self.units[index] for index in ids if index > 0)
        return " ".join(text.replace(SPACE, " ").split())

    def state(self) -> dict[str, Any]:
        """See :meth:`Tokenizer.state`."""
        return {"type": self.type, "units": self.units}


class SentencePieceTokenizer(Tokenizer):
    """Sentencepiece units (bpe or unigram); ids are sentencepiece's own plus one."""

    def __init__(self, type: str, model: bytes) -> None:
        self.type = type
        self.model = model
        self.processor = _sentencepiece(model)
        pieces = [self.processor.id_to_piece(index) for index in range(self.processor.get_piece_size())]
        self.units = [BLANK, *pieces]
        self.unknown_id = self.processor.unk_id() + 1

    def encode(self, text: str) -> list[int]:
        """See :meth:`Tokenizer.encode`."""
        return [index + 1 for index in self.processor.encode(" ".join(text.split()))]

    def unknown(self, text: str) -> list[str]:
        """See :meth:`Tokenizer.unknown`; a run of such characters is one piece."""
        pieces = self.processor.encode(" ".join(text.split()), out_type=str)
        return [piece for piece, index in zip(pieces, self.encode(text), strict=True) if index == self.unknown_id]

    def decode(self, ids: Sequence[int]) -> str:
        """See :meth:`Tokenizer.decode`."""
        text = "".join(self.units[index] for index in ids if index > 0)
        return " ".join(text.replace(SPACE, " ").split())

    def state(self) -> dict[str, Any]:
        """See :meth:`Tokenizer.state`."""
        return {"type": self.type, "model": self.model}


def _sentencepiece(model: bytes) -> sentencepiece.SentencePieceProcessor:
    """Load a model.

    Raises:
        ValueError: it is not one.
    """
    if not isinstance(model, bytes) or not model:  # for which sentencepiece makes a processor without a model
        raise ValueError("there is no model of sentencepiece")
    try:
        return sentencepiece.SentencePieceProcessor(model_proto=model)
    except RuntimeError:
        raise ValueError("sentencepiece cannot read the model") from None


def tokenizer_from_state(state: dict[str, Any]) -> Tokenizer:
    """Build the tokenizer that gave :meth:`Tokenizer.state`."""
    if state["type"] == "char":
        return CharTokenizer(state["units"])
    if state["type"] not in ("bpe", "unigram"):
        raise ValueError(f"the type of units is {shortened(state['type'])}")
    return SentencePieceTokenizer(state["type"], state["model"])


def train_tokenizer(type: str, size: int, texts: Iterable[str]) -> Tokenizer:
    """Train units on transcripts.

    Args:
        type: ``char``, ``bpe`` or ``unigram``.
        size: units wanted, with the blank; ignored for characters. Lowered, with a message, to what the text supports.
        texts: transcripts without ids; of more than :data:`MOST_LINES` a sample is taken, the same each time.

    Raises:
        UserError: there is no text, or the size is below the number of characters.
    """
    lines, characters = _sampled(texts)
    if not lines:
        raise UserError("there is no training text to make units from; is the text file empty?")
    if type == "char":
        return CharTokenizer([BLANK, UNKNOWN, SPACE, *characters])
    if type not in ("bpe", "unigram"):
        raise UserError(f"token type {type!r} is not known; take char, bpe or unigram")
    least = len(characters) + 3
    if size < least:
        raise UserError(f"{size} units cannot spell {len(characters)} characters; ask for {least} or more")
    return SentencePieceTokenizer(type, _train_sentencepiece(type, size - 1, least - 1, lines))


def _sampled(texts: Iterable[str]) -> tuple[list[str], list[str]]:
    """Lines to make units from, and all characters of the text without the blank; of each some line is in the sample.

    Every line is as likely to be in it (Vitter 1985, algorithm R).
    """
    draw, sample, rare = random.Random(0), list[tuple[int, str]](), list[tuple[int, str]]()
    characters, count = {" "}, 0
    for line in (" ".join(text.split()) for text in texts):
        if not line:
            continue
        if not characters.issuperset(line):
            characters.update(line)
            rare.append((count, line))
        count += 1
        if len(sample) < MOST_LINES:
            sample.append((count - 1, line))
        elif (place := draw.randrange(count)) < MOST_LINES:
            sample[place] = (count - 1, line)
    if count > len(sample):
        log.info("units are made from %d of %d lines of the text", len(sample), count)
    return [line for _, line in sorted({*sample, *rare})], sorted(characters - {" "})


def _train_sentencepiece(type: str, size: int, least: int, lines: list[str]) -> bytes:
    """Train with the largest vocabulary up to ``size`` that sentencepiece accepts for these lines."""
    low, high, best = least, size, b""
    wanted = size
    while low <= high:
        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(lines),
                model_writer=model,
                model_type=type,
                vocab_size=wanted,
                character_coverage=1.0,
                unk_id=0,
                bos_id=-1,
                eos_id=-1,
                pad_id=-1,
                num_threads=1,
                max_sentence_length=1 << 20,
                normalization_rule_name="identity",
                minloglevel=2,
            )
            best, low = model.getvalue(), wanted + 1
        except RuntimeError as error:
            if "ocab" not in str(error):
                raise UserError(f"sentencepiece failed: {' '.join(str(error).split())}") from None
            high = wanted - 1
        wanted = (low + high + 1) // 2
    if not best:
        raise UserError("the training text is too small for sentencepiece units; use --token_type char")
    if high < size:
        log.info("the text supports %d %s units; the vocabulary is lowered from %d", high + 1, type, size + 1)
    return best


def save_tokenizer(tokenizer: Tokenizer, lang_dir: str | os.PathLike[str]) -> None:
    """Write a language directory: ``tokens.txt`` last, so that its presence means the directory is complete."""
    lang_dir = Path(lang_dir)
    if isinstance(tokenizer, SentencePieceTokenizer):
        with atomic_write(lang_dir / "spm.model", "wb") as file:
            file.write(tokenizer.model)
    with atomic_write(lang_dir / "type") as file:
        file.write(tokenizer.type + "\n")
    with atomic_write(lang_dir / "tokens.txt") as file:
        file.writelines(f"{unit} {index}\n" for index, unit in enumerate(tokenizer.units))


def load_tokenizer(lang_dir: str | os.PathLike[str]) -> Tokenizer:
    """Read a language directory.

    Raises:
        UserError: the directory is not one, or damaged, naming the stage that makes it.
    """
    lang_dir = Path(lang_dir)
    for name in ("type", "tokens.txt"):
        if not (lang_dir / name).exists():
            raise UserError(f"{lang_dir} is not a language directory ({name} is missing); stage 2 makes it")
    advice = f"remove {lang_dir} and run stage 2 again"
    type = read_text(lang_dir / "type", advice).strip()
    with well_formed(lang_dir, "a whole language directory", advice):
        if type in ("bpe", "unigram"):
            tokenizer: Tokenizer = SentencePieceTokenizer(type, (lang_dir / "spm.model").read_bytes())
        elif type == "char":
            lines = read_text(lang_dir / "tokens.txt", advice).split("\n")
            units = [line.rsplit(" ", 1)[0] for line in lines if line]
            if units[:1] != [BLANK] or UNKNOWN not in units:
                raise ValueError(f"the units do not begin with {BLANK} or lack {UNKNOWN}")
            tokenizer = CharTokenizer(units)
        else:
            raise ValueError(f"its type is {shortened(type)}, not char, bpe or unigram")
        return tokenizer
