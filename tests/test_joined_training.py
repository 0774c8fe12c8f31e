"""Training on joined corpora with weights, interrupted and not."""

import re
import signal
import subprocess

from recipe_helpers import wait_for
from training_helpers import losses, prepare, run, train_command, write_corpus

from omni_asr.kaldi.join import join_corpora
from omni_asr.kaldi.tables import read_table, write_table


def test_weighted_training_goes_on_as_if_never_stopped(tmp_path):
    options = prepare(tmp_path)
    sources = {"one": tmp_path / "train", "two": write_corpus(tmp_path / "second", 40, 3)}
    for folder in sources.values():
        utt2spk = {utt: utt.partition("-")[0] for utt in read_table(folder / "text")}
        write_table(folder / "utt2spk", utt2spk)
        write_table(folder / "spk2utt", dict.fromkeys(utt2spk.values(), "made anew"))
        (folder / "fbank.conf").write_text("--num-mel-bins=8\n")
    join_corpora(tmp_path / "both", sources)
    options[options.index("--train-dir") + 1] = str(tmp_path / "both")
    changes = ["data.weights=one=0.5 two=2", "train.log_every=1", "train.epochs=40"]
    done = run(train_command(options, tmp_path / "whole", *changes))
    assert done.returncode == 0, done.stderr
    log = (tmp_path / "whole/train.log").read_text()
    for name, count, weight in (("one", 60, "0.5"), ("two", 40, "2")):
        pattern = rf"an epoch has [\d.]+ h of {name}: {count} utterances, [\d.]+ h, weight {re.escape(weight)}"
        assert re.search(pattern, log)
    command = train_command(options, tmp_path / "parts", *changes)
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    record = tmp_path / "parts/train.jsonl"
    wait_for(lambda: record.exists() and '"step": 12,' in record.read_text(), 60)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) != 0 and max(losses(tmp_path / "parts")) < max(losses(tmp_path / "whole"))
    assert run(command).returncode == 0
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    refused = run(train_command(options, tmp_path / "whole", "data.weights=one=1"))
    assert refused.returncode == 1 and "data.weights" in refused.stderr
