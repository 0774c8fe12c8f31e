"""RESULTS.md: rows, replacement, summary over seeds, text around the tables, writers at once."""

import json
import multiprocessing

import pytest

from omni_asr.bin import results, run_program
from omni_asr.errors import UserError
from omni_asr.scoring.results import (
    experiment_row,
    read_rate,
    update,
    update_routing,
)
from omni_asr.scoring.runs import described, short_number, summary


def make_experiment(folder, name="omni_base", errors=50, sets=("test",), **info):
    """An experiment with the files that the results are made of."""
    experiment = folder / "exp" / name
    experiment.mkdir(parents=True, exist_ok=True)
    info = {
        "router": experiment.name.split("_")[0], "experts": "4x4", "params_total": 5_213_000,
        "params_active": 2_410_000, "hours": 2.04, "steps": 1800, "epochs": 12, "seed": 1,
        "commit": "0123456789abcdef0123456789abcdef01234567", **info,
    }  # fmt: skip
    (experiment / "model_info.json").write_text(json.dumps(info))
    (experiment / "cmd.txt").write_text("omni-asr train --config conf/base.yaml \\\n  --set 'a|b'\n")
    for name in sets:
        decode = experiment / f"decode_{name}"
        decode.mkdir(exist_ok=True)
        (decode / "wer").write_text(f"%WER {errors / 10:.2f} [ {errors} / 1000, 5 ins, 6 del, {errors - 11} sub ]\n")
        (decode / "cer").write_text(f"%CER {errors / 40:.2f} [ {errors} / 4000, 5 ins, 6 del, {errors - 11} sub ]\n")
    return experiment


def rows_of(path):
    block = path.read_text(encoding="utf-8").split("<!-- results -->")[1].split("<!-- /results -->")[0]
    return [[cell.strip() for cell in line.split(" | ")] for line in block.strip().splitlines()[2:]]


def test_a_row(tmp_path):
    row = experiment_row(make_experiment(tmp_path), "test")
    assert row == {
        "exp": "omni_base", "router": "omni", "config": "base", "set": "test", "regime": "verbatim",
        "protocol": "words", "WER": "5.00", "WER 95 %": "-", "CER": "1.25",
        "S / D / I": "39 / 6 / 5", "errors / words": "50 / 1000", "params": "5.21 M", "active": "2.41 M",
        "hours": "2.0", "steps": "1800", "seed": "1", "commit": "01234567",
        "command": "omni-asr train --config conf/base.yaml --set 'a|b'",
    }  # fmt: skip


def test_rows_are_replaced_never_doubled_and_sorted(tmp_path):
    path = tmp_path / "RESULTS.md"
    for name in ("omni_base_seed10", "switch_base", "omni_base_seed2", "dense_base"):
        update(path, make_experiment(tmp_path, name, sets=("test", "dev")), ["test", "dev"])
    update(path, make_experiment(tmp_path, "switch_base", errors=77), ["test"])
    names = [row[0].lstrip("| ") for row in rows_of(path)]
    assert names == ["dense_base", "switch_base", "omni_base_seed2", "omni_base_seed10"] * 2
    assert [row[3] for row in rows_of(path)] == ["dev"] * 4 + ["test"] * 4
    assert [row[6] for row in rows_of(path)] == ["5.00"] * 5 + ["7.70"] + ["5.00"] * 2
    before = path.read_text(encoding="utf-8")
    update(path, tmp_path / "exp/switch_base", ["test", "dev", "test"])
    assert path.read_text(encoding="utf-8") == before
    assert before.count("'a\\|b'") == 8


def test_text_outside_the_marks_is_kept(tmp_path):
    path = tmp_path / "RESULTS.md"
    path.write_text(
        "# Mini\n\nRead this.\n\n<!-- results --><!-- /results -->\n\nAnd after ± that.\n", encoding="utf-8"
    )
    update(path, make_experiment(tmp_path), ["test"])
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# Mini\n\nRead this.\n\n<!-- results -->\n| exp |")
    assert "<!-- /results -->\n\nAnd after ± that.\n\n<!-- summary -->\n| router |" in text
    assert text.endswith("<!-- /summary -->\n")


def test_summary_over_seeds(tmp_path):
    runs = [("omni_base", 1, 40), ("omni_base_s2", 2, 50), ("omni_base_seed3", 3, 60)]
    rows = [experiment_row(make_experiment(tmp_path, name, errors, seed=seed), "test") for name, seed, errors in runs]
    rows.append(experiment_row(make_experiment(tmp_path, "omni_base_big", 20), "test"))
    rows.append(experiment_row(make_experiment(tmp_path, "dense_base", 70), "test"))
    rows[-1]["WER 95 %"] = "[6.00, 8.00]"
    found = [(row["router"], row["config"], row["seeds"], row["WER"], row["WER 95 %"]) for row in summary(rows)]
    assert found == [
        ("dense", "base", "1", "7.00", "[6.00, 8.00]"),
        ("omni", "base", "3", "5.00 ± 1.00", "[2.52, 7.48]"),  # 4.3027 / sqrt(3)
        ("omni", "base_big", "1", "2.00", "-"),
    ]


def test_one_seed_is_no_spread(tmp_path):
    """Other weights of a model, tags that look like seeds, one experiment in two folders: none is a further seed."""
    names = ["omni_base", "omni_base_best", "omni_base_s4", "omni_base_s8", "omni_base_again", "other/omni_base"]
    path = tmp_path / "RESULTS.md"
    for errors, name in enumerate(names, 50):
        update(path, make_experiment(tmp_path, name, errors), ["test"])
    update(path, make_experiment(tmp_path, "omni_base_s2_best", 60, seed=2), ["test"])
    block = path.read_text(encoding="utf-8").split("<!-- summary -->")[1].split("<!-- /summary -->")[0]
    lines = [line.split(" | ") for line in block.splitlines() if line.startswith("| omni")]
    found = {line[1]: (line[5], line[6]) for line in lines}
    assert found == {
        "base": ("1", "5.00"), "base_again": ("1", "5.40"), "base_best": ("2", "5.55 ± 0.64"),
        "base_s4": ("1", "5.20"), "base_s8": ("1", "5.30"),
    }  # fmt: skip
    assert len(rows_of(path)) == 7


def test_runs_without_a_seed_stand_alone(tmp_path):
    rows = [experiment_row(make_experiment(tmp_path, f"{n}/omni_base", n, seed=None), "test") for n in (11, 12)]
    found = summary([{**row, "exp": f"{number}/omni_base"} for number, row in enumerate(rows)])
    assert [(row["seeds"], row["WER"]) for row in found] == [("1", "1.10"), ("1", "1.20")]


def test_models_of_other_sizes_or_hours_are_no_seeds_of_one(tmp_path):
    runs = [("a", {}), ("b", {"params_total": 5_900_000}), ("c", {"params_active": 2_500_000}), ("d", {"hours": 3.1})]
    rows = []
    for tag, info in runs:
        for seed in (1, 2):
            folder = make_experiment(tmp_path, f"{tag}/omni_base_s{seed}", 40 + seed, seed=seed, **info)
            rows.append(experiment_row(folder, "test"))
    found = [(row["params"], row["active"], row["hours"], row["seeds"]) for row in summary(rows)]
    assert found == [
        ("5.21 M", "2.41 M", "2.0", "2"),
        ("5.21 M", "2.41 M", "3.1", "2"),
        ("5.21 M", "2.5 M", "2.0", "2"),
        ("5.9 M", "2.41 M", "2.0", "2"),
    ]


def test_regimes_have_rows_of_their_own(tmp_path):
    experiment, path = make_experiment(tmp_path), tmp_path / "RESULTS.md"
    for name in ("wer", "cer"):
        text = (experiment / "decode_test" / name).read_text() + "Scoring regime: whisper\n"
        (experiment / "decode_test" / f"{name}_whisper").write_text(text)
    for _ in range(2):
        update(path, experiment, ["test"])
    content = path.read_text(encoding="utf-8")
    tables = content.split("<!-- results -->")[1].split("<!-- /results -->")[0].split("Regime ")
    assert [table.split(":")[0] for table in tables[1:]] == ["verbatim", "whisper"]
    assert [table.count("| omni_base |") for table in tables] == [0, 1, 1]
    block = content.split("<!-- summary -->")[1]
    assert "| omni | base | test | verbatim | words | 1 |" in block
    assert "| omni | base | test | whisper | words | 1 |" in block


def test_protocols_have_tables_of_their_own(tmp_path):
    path = tmp_path / "RESULTS.md"
    for name, protocol in [("omni_base", "words"), ("omni_base_s2", "words, join-hyphens")]:
        experiment = make_experiment(tmp_path, name, seed=2 if name.endswith("s2") else 1)
        with open(experiment / "decode_test/wer", "a") as file:
            file.write(f"Protocol: {protocol}\n")
        update(path, experiment, ["test"])
    content = path.read_text(encoding="utf-8")
    tables = content.split("<!-- results -->")[1].split("<!-- /results -->")[0].split("Regime verbatim: ")
    assert [table.split("\n")[0].split("Protocol: ")[-1] for table in tables[1:]] == ["words.", "words, join-hyphens."]
    assert [table.count("| omni_base") for table in tables] == [0, 1, 1]
    assert content.split("<!-- summary -->")[1].count("| 1 | 5.00 |") == 2, "they are not two seeds of one"


def test_an_experiment_is_called_by_its_path(tmp_path, monkeypatch):
    names = ["omni_base", "other/omni_base", "../omni_base", "../elsewhere/exp/omni_base"]
    for path in (tmp_path / "RESULTS.md", tmp_path / "exp/RESULTS.md"):
        for name in names:
            update(path, make_experiment(tmp_path, name), ["test"])
        assert sorted(row[0].lstrip("| ") for row in rows_of(path)) == sorted(names)
    monkeypatch.chdir(tmp_path)
    update("RESULTS.md", "exp/omni_base/", ["test"])
    (tmp_path / "link").symlink_to(tmp_path)
    update(tmp_path / "link/RESULTS.md", "exp/omni_base", ["test"])
    assert len(rows_of(tmp_path / "RESULTS.md")) == 4


def test_configuration_and_numbers():
    runs = [("omni_small_lr2_seed3", 3), ("omni_small_seeded", 1), ("omni_small_s3", 1), ("omni_s1", 1), ("pilot", 1)]
    found = [described({"router": "omni", "seed": seed}, name)["config"] for name, seed in runs]
    assert found == ["small_lr2", "small_seeded", "small_s3", "s1", "pilot"]
    assert described({}, "omni_small_s3")["config"] == "omni_small_s3"
    assert [short_number(n) for n in (950, 45_600, 2_413_000, 1.5e9, None)] == ["950", "45.6 k", "2.41 M", "1.5 G", ""]


def test_infinite_rate_is_read(tmp_path):
    (tmp_path / "wer").write_text("%WER inf [ 3 / 0, 3 ins, 0 del, 0 sub ]\n")
    assert read_rate(tmp_path / "wer").percent == float("inf")


def test_errors_are_one_line_and_write_nothing(tmp_path, capsys):
    experiment = make_experiment(tmp_path)
    arguments = ["--exp-dir", str(experiment), "--results", str(tmp_path / "RESULTS.md")]
    assert run_program(results.main, [*arguments, "test", "other"]) == 1
    assert "decode_other/wer does not exist; score this set first (stage 5)" in capsys.readouterr().err
    assert not (tmp_path / "RESULTS.md").exists()
    assert run_program(results.main, [*arguments, "test"]) == 0
    assert capsys.readouterr().out == "omni_base test (verbatim by words): WER 5.00 CER 1.25 (50 / 1000 words)\n"
    (experiment / "model_info.json").write_text("{")
    with pytest.raises(UserError, match="is not JSON"):
        experiment_row(experiment, "test")
    (experiment / "model_info.json").unlink()
    with pytest.raises(UserError, match="training has not finished"):
        experiment_row(experiment, "test")


def test_damaged_marks_are_named(tmp_path):
    path = tmp_path / "RESULTS.md"
    path.write_text("<!-- results -->\n", encoding="utf-8")
    with pytest.raises(UserError, match="must each stand there once"):
        update(path, make_experiment(tmp_path), ["test"])
    assert path.read_text(encoding="utf-8") == "<!-- results -->\n"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("| regime | protocol |", "| protocol |"), r"RESULTS.md:\d+: this table has not the columns"),
        (("| words | 5.00 |", "| words |"), r"RESULTS.md:\d+: this row has 17 cells and not 18; mend or remove it"),
        (
            ("| verbatim | words |", "| foo | words |"),
            "the row of omni_base on test has the regime 'foo', not verbatim",
        ),
        (("| verbatim | words |", "|  | words |"), "the row of omni_base on test has the regime '', not verbatim"),
        (("| words | 5.00 |", "| words | five |"), "the row of omni_base on test has the rates 'five' and '1.25'"),
    ],
)
def test_tables_that_somebody_changed_are_named_and_kept(tmp_path, change, message):
    path = tmp_path / "RESULTS.md"
    update(path, make_experiment(tmp_path), ["test"])
    text = path.read_text(encoding="utf-8")
    start = text.index("<!-- results -->")
    text = text[:start] + text[start:].replace(*change)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        update(path, make_experiment(tmp_path, "dense_base"), ["test"])
    assert path.read_text(encoding="utf-8") == text


def test_writers_at_once_lose_nothing(tmp_path):
    path = tmp_path / "RESULTS.md"
    experiments = [make_experiment(tmp_path, f"omni_base_s{index}", seed=index) for index in range(8)]
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(target=update, args=(path, experiment, ["test"]), daemon=True) for experiment in experiments
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 8
    assert [row[0] for row in rows_of(path)] == [f"| omni_base_s{index}" for index in range(8)]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["RESULTS.md", "exp"]


def test_a_model_from_elsewhere_is_described_by_its_decoding(tmp_path):
    """``--model`` decodes into a folder where nothing was trained."""
    experiment = make_experiment(tmp_path, name="outsider")
    info = {"router": "switch", "params_total": 2_000_000, "seed": 5, "command": "egs/other/run.sh"}
    (experiment / "decode_test" / "model_info.json").write_text(json.dumps(info))
    (experiment / "model_info.json").unlink()
    (experiment / "cmd.txt").unlink()
    row = experiment_row(experiment, "test")
    assert (row["router"], row["params"], row["seed"], row["command"]) == ("switch", "2 M", "5", "egs/other/run.sh")


# --- routing ------------------------------------------------------------------------------------------------------


def analyse(experiment, nmi=0.27):
    """What the row needs of routing.json."""
    routing = {
        "sets": ["test", "dev"],
        "agreement": {"mean": {"raw": None, "matched": 0.5856, "nmi": nmi}},
        "load": {"max_over_mean": [1.2, 1.75]},
        "time": {"run_ms": [100, 200], "shuffled_run_ms": [50, 60]},
        "paths": {"distinct": 696, "cover_50": 13},
        "specialisation": {"tokens": {"mi_bits": [0.2, 0.3]}},
    }
    (experiment / "routing.json").write_text(json.dumps(routing))


def test_routing_has_a_table_of_its_own(tmp_path):
    path = tmp_path / "RESULTS.md"
    for name in ("omni_base", "switch_base"):
        experiment = make_experiment(tmp_path, name)
        update(path, experiment, ["test"])
        analyse(experiment)
        update_routing(path, experiment)
    analyse(experiment, nmi=0.9)
    assert run_program(results.main, ["--routing", "--exp-dir", str(experiment), "--results", str(path)]) == 0
    table = (
        path.read_text(encoding="utf-8").split("<!-- routing -->")[1].split("<!-- /routing -->")[0].strip().splitlines()
    )
    assert table[2:] == [
        "| switch_base | switch | base | test dev | 1 |  | 0.586 | 0.900 | 150 | 55 | 13 of 696 | 1.75 | 0.25 |",
        "| omni_base | omni | base | test dev | 1 |  | 0.586 | 0.270 | 150 | 55 | 13 of 696 | 1.75 | 0.25 |",
    ]
    assert len(rows_of(path)) == 2, "the other tables stay"


def test_routing_that_is_not_there_is_one_line(tmp_path, capsys):
    experiment = make_experiment(tmp_path)
    arguments = ["--routing", "--exp-dir", str(experiment), "--results", str(tmp_path / "RESULTS.md")]
    assert run_program(results.main, arguments) == 1
    assert "routing.json does not exist; analyse the routing first (stage 6)" in capsys.readouterr().err
    (experiment / "routing.json").write_text("{}")
    assert run_program(results.main, arguments) == 1
    assert "analyze-routing writes ('agreement' is missing); run it again" in capsys.readouterr().err
    assert not (tmp_path / "RESULTS.md").exists()
