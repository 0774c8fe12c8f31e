"""The pages in a browser: nothing is cut off, and the text of figures is legible, on a wide and on a narrow screen."""

import pytest
from report_helpers import CHROMIUM, layout, make_experiment

from omni_asr.bin import compare, errors, report, run_program

SETS = ["dev_clean", "dev_other", "test_clean", "test_other", "test_noisy"]


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium to draw the pages with")
def test_nothing_is_cut_off_and_figures_are_legible(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    for router in ("omni_lowrank", "switch"):
        for seed in (1, 2):
            make_experiment(tmp_path, router, seed, steps=100, sets=SETS, experts=16)
    experiments = sorted(f"exp/{path.name}" for path in (tmp_path / "exp").iterdir())
    assert run_program(report.main, ["exp/omni_lowrank_base", *SETS]) == 0
    assert run_program(compare.main, [*experiments, "--runs"]) == 0
    assert run_program(errors.main, ["data/dev_clean", "exp/switch_base/decode_dev_clean"]) == 0
    names = ["exp/omni_lowrank_base/report/index.html", "compare.html"]
    names.append("exp/switch_base/decode_dev_clean/scoring/errors.html")
    measured = layout([tmp_path / name for name in names], tmp_path)
    assert [page["beyond"] for page in measured] == [0] * 6, "what is wider than the page can be scrolled"
    for page in measured[:4]:
        assert page["letters"] >= 10, "pixels"
    assert measured[1]["scrolled"] == [0, 0], "five sets fit on a wide screen as they are"
