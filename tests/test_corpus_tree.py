"""CorpusTree: files of a corpus in any case, on any disc, in any folder."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from omni_asr.corpora.tree import CorpusTree
from omni_asr.errors import UserError


def make(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    return root


def found(tree, root, path, **options):
    return [str(item.relative_to(root)) for item in tree.find_all(path, **options)]


def test_case_does_not_matter(tmp_path):
    make(tmp_path, "WSJ1/Doc/INDEX.NDX", "wsj1/doc/other.ndx")
    tree = CorpusTree([tmp_path])
    assert found(tree, tmp_path, "wsj1/DOC/index.ndx") == ["WSJ1/Doc/INDEX.NDX"]
    assert found(tree, tmp_path, "wsj1/doc/*.ndx") == ["WSJ1/Doc/INDEX.NDX", "wsj1/doc/other.ndx"]
    assert found(tree, tmp_path, "Wsj1") == ["WSJ1", "wsj1"]


@pytest.mark.parametrize("above", ["", "disc1", "package/disc1", "corpora/package/disc1"])
def test_folders_above_what_is_looked_for(tmp_path, above):
    root = tmp_path / "root"
    path = make(root / above, "wsj0/doc/a.txt") / "wsj0/doc/a.txt"
    tree = CorpusTree([root])
    assert tree.find("wsj0/doc/a.txt") == path
    assert tree.need("nothing", "wsj0/doc/a.txt") == path
    assert (tree.find("wsj0/doc/a.txt", depth=2) is None) == (above.count("/") == 2)
    deeper = CorpusTree([make(tmp_path / "deep" / "1/2/3/4", "wsj0/doc/a.txt") and tmp_path / "deep"])
    assert deeper.find("wsj0/doc/a.txt") is None


def test_the_nearest_comes_first_and_each_once(tmp_path):
    make(tmp_path, "b/x/doc/a", "a/doc/a", "c/doc/a", "doc/a")
    tree = CorpusTree([tmp_path, tmp_path / "a", tmp_path])
    assert found(tree, tmp_path, "doc/a") == ["doc/a", "a/doc/a", "c/doc/a", "b/x/doc/a"]
    tree = CorpusTree([tmp_path / "c", tmp_path / "a"])
    assert found(tree, tmp_path, "doc/a") == ["c/doc/a", "a/doc/a"]


def test_a_root_may_be_the_first_part_of_a_path(tmp_path):
    make(tmp_path, "WSJ0/doc/a", "WSJ0/wsj0/doc/a")
    tree = CorpusTree([tmp_path / "WSJ0"])
    assert found(tree, tmp_path, "wsj0/doc/a") == ["WSJ0/doc/a", "WSJ0/wsj0/doc/a"]
    assert found(tree, tmp_path, "wsj0") == ["WSJ0/wsj0"]
    assert found(tree, tmp_path, "wsj?/doc") == ["WSJ0/doc", "WSJ0/wsj0/doc"]


def test_wildcards_stay_within_a_part(tmp_path):
    make(tmp_path, "13-34.1/doc/a", "13_34_1/doc/a", "13-32.1/doc/a", "x[1]/a", "doc/b*")
    tree = CorpusTree([tmp_path])
    assert found(tree, tmp_path, "13?34?1/doc/a") == ["13-34.1/doc/a", "13_34_1/doc/a"]
    assert found(tree, tmp_path, "13*/a") == []
    assert found(tree, tmp_path, "13-3[24].1/doc/a") == ["13-32.1/doc/a", "13-34.1/doc/a"]


def test_inside_and_files(tmp_path):
    make(tmp_path, "set/Spk/B.WV1", "set/Spk/a.wv1", "set/Spk/a.wv2", "set/Spk/c.wv1/x", "set/other/a.wv1")
    tree = CorpusTree([tmp_path])
    assert tree.inside(tmp_path / "set", "SPK/b.wv1") == tmp_path / "set/Spk/B.WV1"
    assert tree.inside(tmp_path / "set", "b.wv1") is None
    assert tree.inside(tmp_path / "none", "b.wv1") is None
    assert [path.name for path in tree.files(tmp_path / "set/Spk", "*.Wv1")] == ["B.WV1", "a.wv1"]
    assert tree.files(tmp_path / "set/none", "*") == []


def test_search_goes_to_any_depth_and_through_links_once(tmp_path):
    make(tmp_path, "one/1/2/3/4/5/6/B.DOT", "one/a.dot", "one/a.txt", "two/c.dot")
    (tmp_path / "one" / "back").symlink_to(tmp_path)
    (tmp_path / "one" / "dead.dot.link").symlink_to(tmp_path / "nowhere")
    tree = CorpusTree([tmp_path / "one", tmp_path / "two"])
    assert sorted(path.name for path in tree.search("*.dot")) == ["B.DOT", "a.dot", "c.dot"]
    assert [str(path) for path in tree.search("*.dot")] == [str(path) for path in tree.search("*.dot")]


def test_links(tmp_path):
    make(tmp_path, "real/doc/a")
    (tmp_path / "discs").mkdir()
    (tmp_path / "discs" / "11-1.1").symlink_to(tmp_path / "real")
    (tmp_path / "discs" / "loop").symlink_to(tmp_path / "discs")
    (tmp_path / "discs" / "dead").symlink_to(tmp_path / "nowhere")
    tree = CorpusTree([tmp_path / "discs"])
    assert tree.find("doc/a") == tmp_path / "discs/11-1.1/doc/a"
    assert tree.find("dead") is None
    assert tree.inside(tmp_path / "discs", "dead") is None


def test_folders_are_read_once(tmp_path, monkeypatch):
    make(tmp_path, "set/1/a", "set/1/b")
    tree = CorpusTree([tmp_path])
    reads = []
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda folder: reads.append(str(folder)) or listdir(folder))
    for name in "abab":
        assert tree.inside(tmp_path, f"set/1/{name}")
    assert reads == [str(tmp_path), str(tmp_path / "set"), str(tmp_path / "set/1")]


def test_roots_that_are_none(tmp_path):
    make(tmp_path, "file")
    for name in ("file", "none"):
        with pytest.raises(
            UserError, match=rf"{name} is not a directory; name the folder of the corpus with --corpus_dir"
        ):
            CorpusTree([tmp_path, tmp_path / name])


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    make(tmp_path, "one/a", "two/a")
    monkeypatch.chdir(tmp_path)
    tree = CorpusTree(["one", "two"])
    with pytest.raises(UserError) as error:
        tree.need("doc/x.ndx", "doc/y.ndx")
    assert str(error.value) == (
        f"doc/x.ndx or doc/y.ndx is not in {tmp_path}/one, {tmp_path}/two; is --corpus_dir the folder of this corpus?"
    )


@pytest.mark.parametrize("function", ["scandir", "listdir"])
def test_threads_share_a_tree(tmp_path, monkeypatch, function):
    path = make(tmp_path, "disc/wsj0/a") / "disc/wsj0/a"
    tree = CorpusTree([tmp_path])
    read, first, second = getattr(os, function), threading.Event(), threading.Event()

    def slow(folder):
        if not first.is_set():  # the second thread finds what it looks for while the first is in here
            first.set()
            assert second.wait(10)
        return read(folder)

    def look():
        try:
            return tree.find("wsj0/a")
        finally:
            second.set()

    monkeypatch.setattr(os, function, slow)
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(tree.find, "wsj0/a")
        assert first.wait(10)
        assert pool.submit(look).result(10) == path
        assert one.result(10) == path
