"""Where the results of a scored decoding lie, and what they were made from."""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from omni_asr.errors import UserError
from omni_asr.scoring.regimes import SUFFIXES

_HYPOTHESES = re.compile(r"^Hypotheses: (\w+)$", re.MULTILINE)


@dataclass(frozen=True)
class ResultFiles:
    """Results of a decoding in one regime, of the whole set or of a subset of it.

    Args:
        decode_dir: folder of the decoding.
        suffix: one of SUFFIXES: nothing for the corpus's own regime.
        subset: name of a subset, or nothing for the whole set.
    """

    decode_dir: Path
    suffix: str = ""
    subset: str = ""

    @property
    def folder(self) -> Path:
        """The folder with tables and alignments."""
        return self.decode_dir / f"scoring{self.suffix}"

    def rate(self, unit: str) -> Path:
        """The file with the ``%WER`` (unit ``wer``) or ``%CER`` (``cer``) line."""
        return self.folder / f"{unit}_{self.subset}" if self.subset else self.decode_dir / f"{unit}{self.suffix}"

    @property
    def members(self) -> Path:
        """The file with the ids of the subset's utterances."""
        return self.folder / f"utts_{self.subset}"

    @property
    def subsets(self) -> list[str]:
        """Names of the subsets that were asked for; labels of an stm are not among them."""
        return sorted(path.name.removeprefix("utts_") for path in self.folder.glob("utts_*"))

    def check(self) -> None:
        """Check that the hypotheses are still those that were scored.

        Raises:
            UserError: they are not.
        """
        if is_stale(self.decode_dir, self.rate("wer")):
            raise UserError(f"{self.rate('wer')} is of hypotheses that are gone; score this set again (stage 5)")


def files_of(exp_dir: str | os.PathLike[str], name: str, suffix: str = "") -> ResultFiles:
    """Files of a set of an experiment by its name, ``SET`` or ``SET/SUBSET``."""
    test_set, _, subset = name.partition("/")
    return ResultFiles(Path(exp_dir, f"decode_{test_set}"), suffix, subset)


def hypotheses_line(decode_dir: Path) -> str:
    """The line that names what was scored, by a digest of ``text``; nothing where there is no such file."""
    try:
        digest = hashlib.sha256((decode_dir / "text").read_bytes()).hexdigest()[:16]
    except OSError:
        return ""
    return f"Hypotheses: {digest}\n"


def is_stale(decode_dir: Path, rate: Path) -> bool:
    """Whether an error rate is of other hypotheses than those that lie in ``text`` now."""
    try:
        scored = _HYPOTHESES.search(rate.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return False
    now = hypotheses_line(decode_dir)
    return bool(scored and now and now != f"{scored[0]}\n")


def suffix_of(regime: str | None) -> str:
    """What the names of results in a regime end in; None is the corpus's own regime."""
    return SUFFIXES[regime] if regime else ""
