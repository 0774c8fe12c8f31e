"""Manifests say what the tables say, are built once, and cost no memory."""

import multiprocessing
import pickle
import platform
import random
import re
import shutil

import numpy as np
import pytest
from manifest_helpers import UNITS, write_features

from omni_asr.config import DataConfig
from omni_asr.data import manifest as manifest_module
from omni_asr.data.dataset import UtteranceSet
from omni_asr.data.manifest import Manifest, open_manifest, split_place
from omni_asr.errors import UserError
from omni_asr.files import temporary_folder
from omni_asr.kaldi.ark import read_matrix
from omni_asr.kaldi.tables import read_table, write_table
from omni_asr.text.tokenizer import CharTokenizer

TOKENIZER = CharTokenizer(UNITS)


@pytest.fixture
def data(tmp_path):
    return write_features(tmp_path / "d")


def assert_equal_to_tables(utterances: UtteranceSet) -> None:
    folder = utterances.data_dir
    scp, text = read_table(folder / "feats.scp"), read_table(folder / "text")
    assert list(utterances.utts) == list(scp)
    assert list(utterances.texts) == [text[utt] for utt in scp]
    assert [ids.tolist() for ids in utterances.tokens] == [TOKENIZER.encode(text[utt]) for utt in scp]
    frames = read_table(folder / "utt2num_frames")
    assert utterances.frames.tolist() == [int(frames[utt]) for utt in scp]
    loaded = utterances.load_all(range(len(utterances)))
    for index, value in enumerate(scp.values()):
        np.testing.assert_array_equal(utterances.load(index), read_matrix(value))
        np.testing.assert_array_equal(loaded[index], read_matrix(value))


def test_it_says_what_the_tables_say(data, monkeypatch):
    monkeypatch.setattr(manifest_module, "BLOCK", 4)
    utterances = UtteranceSet(data, TOKENIZER)
    assert_equal_to_tables(utterances)
    pairs = [list(zip(ids, ids[1:], strict=False)) for ids in (row.tolist() for row in utterances.tokens)]
    repeats = [sum(a == b for a, b in row) for row in pairs]
    assert utterances.manifest.needed.tolist() == [len(row) + 1 + n for row, n in zip(pairs, repeats, strict=True)]
    shards = [list(map(int, shard)) for shard in utterances.shards]
    assert sorted(index for shard in shards for index in shard) == list(range(len(utterances)))
    assert [{utterances.utts[index][-1] for index in shard} for shard in shards] == [{"0"}, {"1"}, {"2"}]


@pytest.mark.parametrize("shuffled", [["feats.scp"], ["text", "utt2num_frames"], ["feats.scp", "text"]])
def test_tables_in_another_order_and_with_more_lines(data, shuffled):
    for name in shuffled:
        lines = (data / name).read_text().splitlines()
        if name != "feats.scp":
            lines.append("zz 12")
        random.Random(1).shuffle(lines)
        (data / name).write_text("".join(f"{line}\n" for line in lines))
    assert_equal_to_tables(UtteranceSet(data, TOKENIZER))


def test_values_that_are_no_place_in_an_archive(data):
    scp = read_table(data / "feats.scp")
    utts = list(scp)
    path, _, offset = scp[utts[0]].rpartition(":")
    scp[utts[0]] = f"tail -c +{int(offset) + 1} {path} |"
    scp[utts[1]] += "[2:5]"
    np.savetxt(data / "whole.txt", np.ones((4, 5)), header=" [", footer="]", comments="")
    scp[utts[2]] = str(data / "whole.txt")
    (data / "feats.scp").write_text("".join(f"{utt} {value}\n" for utt, value in scp.items()))
    frames = read_table(data / "utt2num_frames") | {utts[1]: "4", utts[2]: "4"}
    (data / "utt2num_frames").write_text("".join(f"{utt} {value}\n" for utt, value in frames.items()))
    assert_equal_to_tables(UtteranceSet(data, TOKENIZER))
    assert split_place("a b.ark:12") == ("a b.ark", 12)
    assert split_place("cat x.ark:12 |") == ("cat x.ark:12 |", -1)


def test_it_is_built_when_tables_or_units_change_and_only_then(data):
    first = open_manifest(data, TOKENIZER).path
    assert open_manifest(data, TOKENIZER).path == first
    other = open_manifest(data, CharTokenizer([*UNITS, "d"])).path
    plain = open_manifest(data, None).path
    assert len({first, other, plain}) == 3 and first.exists(), "experiments with other units do not disturb each other"
    lines = (data / "text").read_text().splitlines()
    (data / "text").write_text("\n".join([lines[0] + " a", *lines[1:]]) + "\n")
    changed = open_manifest(data, TOKENIZER)
    assert changed.texts[0] == lines[0].split(" ", 1)[1] + " a"
    assert [path.name for path in (data / "manifest").iterdir()] == [changed.path.name], "stale ones are removed"


def test_folders_of_others_beside_manifests_stay(data):
    (data / "manifest/theirs").mkdir(parents=True)
    stale = data / "manifest" / f"{'0' * 16}-{'0' * 16}"
    stale.mkdir()
    open_manifest(data, None)
    assert (data / "manifest/theirs").is_dir() and not stale.exists()


def test_what_killed_builders_left_is_removed(data):
    """Of this key and of tables that are no more; a builder that works holds a lock."""
    key, stale = manifest_module.manifest_key(data, None), f"{'0' * 16}-{'0' * 16}"
    left = [data / "manifest" / f".{name}.tmp.{platform.node()}.0" for name in (key, stale)]
    for folder in left:
        folder.mkdir(parents=True)
    with temporary_folder(data / "manifest" / stale) as works:
        left.append(works.with_name(works.name[:-1]))
        left[-1].mkdir()
        open_manifest(data, None)
        assert works.is_dir() and not any(folder.exists() for folder in left)


def test_a_torn_manifest_is_built_again(data):
    path = open_manifest(data, TOKENIZER).path
    with open(path / "frames", "r+b") as file:
        file.truncate(8)
    with pytest.raises(UserError, match="not a whole manifest"):
        Manifest(path)
    assert_equal_to_tables(UtteranceSet(data, TOKENIZER))


def test_a_directory_that_cannot_be_written(data, tmp_path):
    (data / "manifest").write_text("in the way")
    fallback = tmp_path / "exp" / "manifest"
    utterances = UtteranceSet(data, TOKENIZER, fallback)
    assert_equal_to_tables(utterances)
    assert fallback in utterances.manifest.path.parents
    assert UtteranceSet(data, TOKENIZER, fallback).manifest.path == utterances.manifest.path
    elsewhere = UtteranceSet(data, TOKENIZER)
    assert_equal_to_tables(elsewhere)
    shutil.rmtree(elsewhere.manifest.path.parent)


def build_and_count(folder, barrier, queue):
    barrier.wait()
    queue.put(len(open_manifest(folder, TOKENIZER)))


def test_processes_that_build_at_once(tmp_path):
    data = write_features(tmp_path / "d", arks=2, each=200)
    context = multiprocessing.get_context("fork")
    barrier, queue = context.Barrier(4, timeout=60), context.Queue()
    processes = [context.Process(target=build_and_count, args=(data, barrier, queue), daemon=True) for _ in range(4)]
    for process in processes:
        process.start()
    assert [queue.get(timeout=60) for _ in processes] == [400] * 4
    for process in processes:
        process.join(60)
    assert len(list((data / "manifest").iterdir())) == 1


def send_sum(utterances, queue):
    queue.put((int(utterances.frames.sum()), float(utterances.load(3).sum()), utterances.utts[3]))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes_map_the_same_files(data, tmp_path, method):
    utterances = UtteranceSet(data, TOKENIZER)
    assert len(pickle.dumps(utterances.manifest)) < 500
    utterances.remove_unusable(DataConfig(min_frames=15, max_removed=1.0), 1, tmp_path / "removed")
    assert 0 < len(utterances) < 21
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    process = context.Process(target=send_sum, args=(utterances, queue))
    process.start()
    expected = (int(utterances.frames.sum()), float(utterances.load(3).sum()), utterances.utts[3])
    assert queue.get(timeout=60) == expected
    process.join()


@pytest.mark.parametrize("listing", [None, "removed"])
def test_the_share_that_is_removed_may_be_allowed_as_it_is_named(data, tmp_path, listing):
    """Also where it has more digits than are shown, and on ranks that write no listing."""
    utterances, path = UtteranceSet(data, TOKENIZER), listing and tmp_path / listing
    with pytest.raises(UserError) as error:
        utterances.remove_unusable(DataConfig(min_frames=30, max_removed=0.0), 1, path)
    assert "\n" not in str(error.value) and ("listed in" in str(error.value)) == (listing is not None)
    share = float(re.search(r"--max_removed (\S+) of the recipe", str(error.value))[1])
    utterances.remove_unusable(DataConfig(min_frames=30, max_removed=share), 1, path)
    assert (21 - len(utterances)) / 21 <= share < (21 - len(utterances)) / 21 + 0.001


def test_what_is_removed_is_gone_from_everything(data, tmp_path):
    utterances = UtteranceSet(data, TOKENIZER)
    before = dict(zip(utterances.utts, utterances.load_all(range(21)), strict=True))
    utterances.remove_unusable(DataConfig(min_frames=30, max_removed=1.0), 1, tmp_path / "removed")
    removed = read_table(tmp_path / "removed")
    assert sorted([*removed, *utterances.utts]) == sorted(before)
    assert all(value.endswith("fewer than data.min_frames 30") for value in removed.values())
    text = read_table(data / "text")
    for index, utt in enumerate(utterances.utts):
        assert utterances.texts[index] == text[utt]
        assert utterances.tokens[index].tolist() == TOKENIZER.encode(text[utt])
        np.testing.assert_array_equal(utterances.load(index), before[utt])
    assert sorted(int(index) for shard in utterances.shards for index in shard) == list(range(len(utterances)))


def test_messages_of_broken_tables(data):
    def message() -> str:
        with pytest.raises(UserError) as error:
            UtteranceSet(data, TOKENIZER)
        assert "\n" not in str(error.value)
        assert not list((data / "manifest").iterdir()), "nothing is left"
        return str(error.value)

    originals = {name: (data / name).read_text() for name in ("feats.scp", "utt2num_frames", "text")}
    first, second = originals["text"].split("\n", 2)[:2]
    cases = [
        (
            "text",
            "\n".join(originals["text"].split("\n")[1:]),
            f"text has no line for {first.split()[0]}; omni-asr fix",
        ),
        ("utt2num_frames", originals["utt2num_frames"].split("\n", 1)[1], "utt2num_frames has no line for u000-0"),
        ("utt2num_frames", "u000-0 many\n", "u000-0 has 'many' frames"),
        ("text", first + "\n" + originals["text"], "text:2: 'u000-0' occurs a second time"),
        ("text", originals["text"] + second + "\n", f"text:22: '{second.split()[0]}' occurs a second time"),
        ("feats.scp", originals["feats.scp"] * 2, "feats.scp:22: 'u000-0' occurs a second time"),
        ("feats.scp", "", "feats.scp is empty; run stage 2 again"),
        ("feats.scp", "u000-0\n", "feats.scp:1: nothing follows"),
    ]
    for name, content, expected in cases:
        (data / name).write_text(content)
        assert expected in message(), expected
        (data / name).write_text(originals[name])
    (data / "text").write_bytes(b"u000-0 \xff\n")
    assert "text:1: not UTF-8 (byte 0xff)" in message()
    for name, stage in (("text", 1), ("utt2num_frames", 2), ("feats.scp", 2)):
        (data / name).unlink()
        assert f"{name} is missing; stage {stage} makes it" in message()


def test_validation_is_without_utterances_that_have_no_text(data, caplog):
    """Such as those whose digits text cannot hold: what is recognised in them would all count as inserted."""
    caplog.set_level("INFO")
    whole = UtteranceSet(data, TOKENIZER)
    whole.remove_wordless(1)
    assert len(whole) == 21 and whole.kept is None
    text = read_table(data / "text")
    emptied = list(text)[3:5]
    write_table(data / "text", {**text, **dict.fromkeys(emptied, "")})
    utterances = UtteranceSet(data, TOKENIZER)
    utterances.remove_wordless(1)
    assert sorted(utterances.utts) == sorted(set(text) - set(emptied)) and all(utterances.texts)
    assert f"{data}: 2 of 21 utterances have no text and are left out" in caplog.text
    write_table(data / "text", dict.fromkeys(text, ""))
    with pytest.raises(UserError, match="has no words to validate with; name another set"):
        UtteranceSet(data, TOKENIZER).remove_wordless(1)
