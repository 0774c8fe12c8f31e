"""jiwer's interface with sclite's alignment."""

import pytest

jiwer = pytest.importorskip("jiwer")

from omni_asr.errors import UserError  # noqa: E402
from omni_asr.scoring import process_words  # noqa: E402
from omni_asr.scoring.process import process_characters  # noqa: E402


def test_sclites_costs_and_jiwers():
    pair = "p q r A B", "A B s t u"
    found = process_words(*pair)
    assert (found.hits, found.substitutions, found.deletions, found.insertions) == (2, 0, 3, 3)
    assert process_words(*pair, costs="unit") == jiwer.process_words(*pair)
    assert "REF: p q r a b" in jiwer.visualize_alignment(process_words("p q r a b", "a b s t u")).replace("*", "")
    assert process_characters("ab", "aB").cer == 0.0 and process_characters("ab", "aB", costs="unit").cer == 0.5


def test_sentences_are_counted_as_jiwer_prints_them():
    with pytest.raises(UserError, match="^sentence 2, hypothesis: '{ a': the brace is never closed"):
        process_words(["a", "b"], ["a", "{ a"])


@pytest.mark.parametrize("option", ["optional", "fragments", "case_sensitive"])
def test_unit_costs_know_no_marks(option):
    with pytest.raises(ValueError, match=f"^{option} has no meaning with costs='unit'"):
        process_words("a", "a", costs="unit", **{option: True})
    with pytest.raises(ValueError, match="case_sensitive has no meaning"):
        process_characters("a", "a", costs="unit", case_sensitive=True)
