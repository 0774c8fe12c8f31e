"""How a set is scored: the options of ``omni-asr score`` that decide about counts, and what is written beside them."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from omni_asr.errors import UserError
from omni_asr.scoring.regimes import PLAIN, SUFFIXES

_NAME = re.compile(r"[\w.+-]+")


@dataclass(frozen=True)
class Protocol:
    """How a set is scored."""

    regime: str = "verbatim"
    """One of REGIMES."""
    stm: Path | None = None
    """References with times; without it, ``text`` of the data directory."""
    ctm: Path | None = None
    """Recognised words with times; without it, those of the decoding."""
    glm: Path | None = None
    subsets: Mapping[str, str] = field(default_factory=dict)
    """Names of subsets, and how the names of their files (of utterances, without an stm) begin."""
    by: Sequence[str] = ()
    """What to break the results down by: ``length``, a table of the data directory such as ``utt2snr``, or a path."""
    train_text: Path | None = None
    """``text`` of the training data; words that are not in it are out of vocabulary."""
    blocks: str = ""
    """What the bootstrap draws: ``speakers`` or ``utterances``; by default speakers where there are several."""
    hyp_filter: str = ""
    """One of HYPOTHESIS_FILTERS, or none."""
    join_hyphens: bool = False
    """Whether words that an utterance's reference joins by hyphens are joined in its hypothesis."""

    def __post_init__(self) -> None:
        if (self.regime == "glm") != (self.glm is not None):
            raise UserError("--regime glm and --glm FILE belong together; Whisper's normaliser takes the glm's place")
        if self.ctm and not self.stm:
            raise UserError("--ctm needs --stm: words with times are compared with references with times")
        if self.hyp_filter and not self.stm:
            raise UserError("--hyp-filter needs --stm: it works on recognised words with times")
        if self.join_hyphens and self.stm:
            raise UserError("--join-hyphens does not go with --stm: there, hyphens part words on both sides")
        for name in self.subsets:
            if not _NAME.fullmatch(name) or name == "all":
                raise UserError(f"--subset {name!r}: a name of letters, digits and . + - _ was expected, and not 'all'")
        self._check_by()

    def _check_by(self) -> None:
        names = [Path(what).name for what in self.by]
        for what, name in zip(self.by, names, strict=True):
            if not _NAME.fullmatch(name):
                raise UserError(f"--by {what!r}: 'length' or a table such as utt2snr was expected")
            if names.count(name) > 1:
                raise UserError(f"--by {what}: given twice; both would write by_{name}.md")

    @property
    def suffix(self) -> str:
        """What names of results end in."""
        return SUFFIXES[self.regime]

    @property
    def name(self) -> str:
        """What beside the regime decides about counts, such as ``stm, glm 3f2a91bc``; a glm by a digest."""
        parts = ["stm" if self.stm else PLAIN]
        parts += [f"glm {hashlib.sha256(self.glm.read_bytes()).hexdigest()[:8]}"] if self.glm else []
        parts += [f"hyp-filter {self.hyp_filter}"] if self.hyp_filter else []
        return ", ".join([*parts, "join-hyphens"] if self.join_hyphens else parts)
