"""What goes wrong while batches are loaded ends in one line, in time, whatever process it happens in."""

import multiprocessing
import os
import signal
import threading
import time
from itertools import islice

import numpy as np
import pytest
import torch
from manifest_helpers import UNITS, write_features

from omni_asr.config import Config, DataConfig
from omni_asr.data.dataset import BatchDataset, UtteranceSet
from omni_asr.data.loading import load_batches
from omni_asr.data.sampler import Weights, plan_epoch
from omni_asr.data.specaugment import SpecAugment
from omni_asr.errors import UserError
from omni_asr.kaldi.ark import ArkWriter
from omni_asr.text.tokenizer import CharTokenizer
from omni_asr.training.checkpoint import Position
from omni_asr.training.feed import Feed
from omni_asr.training.ranks import Ranks


@pytest.fixture
def utterances(tmp_path):
    return UtteranceSet(write_features(tmp_path / "d", arks=2, each=30), CharTokenizer(UNITS))


def batches_of(utterances, workers, **options):
    plan = plan_epoch(utterances.frames, DataConfig(batch_frames=200), 1, 0)
    return load_batches(BatchDataset(utterances, **options), plan.walk(), workers, pin=False)


def message_of(batches) -> str:
    started = time.monotonic()
    with pytest.raises(UserError) as error:
        list(batches)
    assert time.monotonic() - started < 30
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_load_what_one_process_loads(utterances, workers):
    alone, others = list(batches_of(utterances, 0)), list(batches_of(utterances, workers, read_ahead=True))
    assert [batch.utts for batch in alone] == [batch.utts for batch in others]
    for a, b in zip(alone, others, strict=True):
        for name in ("x_BTF", "lengths_B", "tokens_BU", "token_lengths_B"):
            assert torch.equal(getattr(a, name), getattr(b, name))


@pytest.mark.parametrize("shards", [False, True])
def test_an_utterance_seen_again_in_an_epoch_has_other_masks(utterances, shards):
    """With weights a copy of it may even be in the same batch."""
    config = DataConfig(batch_frames=400, shards_per_pool=1)
    weights = Weights(np.array([0, 20, 60]), (3.0, 1.0))
    plan = plan_epoch(utterances.frames, config, 1, 0, 1, utterances.shards if shards else None, weights)
    masks = SpecAugment(DataConfig(time_masks=2, time_mask_share=0.5, frequency_masks=0), 1)
    copies: dict[str, list[bytes]] = {}
    for batch in load_batches(BatchDataset(utterances, masks), plan.walk(), 0, pin=False):
        for utt, length, x_TF in zip(batch.utts, batch.lengths_B.tolist(), batch.x_BTF, strict=True):
            copies.setdefault(utt, []).append(x_TF[:length].numpy().tobytes())
    counts = [len(copies[utt]) for utt in utterances.utts]
    assert counts == [3] * 20 + [1] * 40
    different = [len(set(seen)) for seen in copies.values() if len(seen) == 3]
    assert np.mean(different) > 2.7, "but for masks of width 0"


@pytest.mark.parametrize("beyond", [0, 3])
def test_the_next_epoch_begins_where_one_is_over(utterances, beyond):
    """Also where more steps of it are done than it has."""
    feed = Feed(Config(data=DataConfig(batch_frames=200)), utterances, Ranks())
    position = Position(done=feed.steps_of_first_epoch + beyond)
    (batch,) = next(feed.steps(position, False, lambda: False))
    assert feed.enter(position) == batch.lengths_B.sum()
    assert (position.epoch, position.done) == (1, 0)


def test_batches_are_padded_with_zeros(utterances):
    batch = next(batches_of(utterances, 0))
    for row, length in enumerate(batch.lengths_B.tolist()):
        index = list(utterances.utts).index(batch.utts[row])
        np.testing.assert_array_equal(batch.x_BTF[row, :length], utterances.load(index))
        assert not batch.x_BTF[row, length:].any()
        tokens = utterances.tokens[index].tolist()
        assert batch.tokens_BU[row, : len(tokens)].tolist() == tokens and batch.token_lengths_B[row] == len(tokens)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_torn_archive(utterances, workers):
    ark = utterances.data_dir / "1.ark"
    with open(ark, "r+b") as file:
        file.truncate(ark.stat().st_size - 10)
    message = message_of(batches_of(utterances, workers))
    assert message.startswith(f"features of u029-1: {ark}:") and "ends within a matrix" in message


@pytest.mark.parametrize("workers", [0, 1])
def test_an_archive_that_vanished(utterances, workers):
    (utterances.data_dir / "1.ark").unlink()
    message = message_of(batches_of(utterances, workers))
    assert message.startswith("features of u0") and "1.ark:" in message and "does not exist" in message


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("compression", [None, 2])
def test_features_of_another_length(utterances, workers, compression):
    with ArkWriter(utterances.data_dir / "1.ark", None, compression) as write:
        for number in range(30):
            write(f"u{number:03d}-1", np.ones((3, 5), np.float32))
    message = message_of(batches_of(utterances, workers))
    assert message.startswith("features of u") and "1.ark:" in message


def children() -> set[int]:
    """Processes that this one started."""
    return {process.pid for process in multiprocessing.active_children()}


def test_a_killed_worker(utterances):
    """However the process dies, and also while another one waits, training hears of it in one line."""
    handler, before = signal.getsignal(signal.SIGCHLD), children()
    keys = ((0, np.arange(20)) for _ in range(5000))
    batches = load_batches(BatchDataset(utterances), keys, 2, pin=False)
    list(islice(batches, 3))
    victim, other = children() - before
    os.kill(victim, signal.SIGKILL)
    time.sleep(0.2)  # PyTorch's own handler would raise here, in the middle of anything
    message = message_of(batches)
    assert message.startswith(f"process {victim}, which loads batches, died of signal 9")
    assert signal.getsignal(signal.SIGCHLD) is handler
    assert not children() & {victim, other}, "no process is left behind"


def test_a_lock_that_a_loading_process_held_keeps_nothing_from_ending(utterances):
    """A process that is killed while it asks whether it shall end takes the lock of that event with it."""
    keys = ((0, np.arange(20)) for _ in range(5000))
    batches = load_batches(BatchDataset(utterances), keys, 1, pin=False)
    next(batches)
    packed = [batches.gi_frame.f_locals["packed"]]
    packed[0]._workers_done_event._cond.acquire()
    (worker,) = packed[0]._workers

    def end():
        batches.close()
        packed.clear()  # the last reference

    ending = threading.Thread(target=end, daemon=True)
    ending.start()
    ending.join(10)
    assert not ending.is_alive() and not worker.is_alive()
