"""A checkout that was moved, or that two paths lead to: its tables are followed, and nothing is done again."""

import fcntl
import shutil

import pytest
from recipe_helpers import ROOT, Recipe, locked, one_line

from omni_asr.bin import move_paths, run_program
from omni_asr.kaldi.moving import move_paths as rewrite


@pytest.fixture
def moved(tmp_path):
    """A finished recipe in another place than its tables name, and their old folder."""
    recipe = Recipe(tmp_path / "old")
    recipe.run("--stop_stage", 4)
    old = recipe.dir
    recipe.write("data/dev/feats.scp", f"a-1 {old}/fbank/dev.1.ark:5\n")
    (tmp_path / "old").rename(tmp_path / "new")
    recipe.dir, recipe.bin = tmp_path / "new/egs/toy", tmp_path / "new/bin"
    recipe.calls()
    return recipe, old


def test_moved_checkout_is_followed_and_nothing_is_done_again(tmp_path, recipe):
    place = recipe.dir
    recipe.write("../../corpus/a.wav", "")
    data = (recipe.dir / "local/data.sh").read_text()
    recipe.write(
        "local/data.sh",
        data.replace('cp "${corpus_dir[0]}/wav.scp"', 'sed "s#1.wav#${PWD}/corpus/1.wav#" corpus/wav.scp > '),
    )
    recipe.run("--stop_stage", 4)
    scp = recipe.dir / "data/dev/feats.scp"
    recipe.calls()
    assert f"a-1 {place}/corpus/1.wav" in (place / "data/dev/wav.scp").read_text()
    scp.write_text(f"a-1 {place}/fbank/dev.1.ark:5\n")
    moved = tmp_path / "elsewhere [1]"
    (tmp_path / "egs").rename(moved)
    recipe.dir = moved / "toy"
    out, _ = recipe.run("--stop_stage", 2)
    assert f"{moved}/toy was {place} when its tables were written" in out
    assert (moved / "toy/data/dev/feats.scp").read_text() == f"a-1 {moved}/toy/fbank/dev.1.ark:5\n"
    assert f"a-1 {moved}/toy/corpus/1.wav" in (moved / "toy/data/dev/wav.scp").read_text()
    assert recipe.called() == []
    out, _ = recipe.run("--stop_stage", 2)
    assert "when its tables were written" not in out and recipe.called() == []


def test_paths_change_where_their_folder_is_there(tmp_path):
    (tmp_path / "new/audio").mkdir(parents=True)
    table = tmp_path / "wav.scp"
    table.write_text(
        "a /old/audio/a.wav\nb sox '/old/audio/b.wav' -t wav - |\nc /old/gone/c.wav\nd /older/audio/d.wav\n"
    )
    assert rewrite(table, {"/old": f"{tmp_path}/new"}) == 2
    assert table.read_text() == (
        f"a {tmp_path}/new/audio/a.wav\nb sox '{tmp_path}/new/audio/b.wav' -t wav - |\n"
        "c /old/gone/c.wav\nd /older/audio/d.wav\n"
    )
    before = table.stat().st_ino
    assert rewrite(table, {"/old": f"{tmp_path}/new"}) == 0 and table.stat().st_ino == before
    with pytest.raises(SystemExit):
        run_program(move_paths.main, ["--moved", "old=new", str(table)])


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        (".lock", fcntl.LOCK_EX, "is at work in data; wait until it ends"),
        (".in_use", fcntl.LOCK_SH, "data/ would change, but a training or decoding reads it"),
    ],
)
@pytest.mark.parametrize("stage", [2, 4])
def test_tables_that_others_use_are_not_rewritten(moved, stage, name, kind, message):
    recipe, old = moved
    with locked(recipe.dir / "data" / name, kind):
        _, err = recipe.run("--stage", stage, "--stop_stage", stage, status=1)
    assert message in one_line(err)
    assert (recipe.dir / "data/dev/feats.scp").read_text() == f"a-1 {old}/fbank/dev.1.ark:5\n"
    out, _ = recipe.run("--stage", stage, "--stop_stage", stage)
    assert f"{recipe.dir} was {old} when its tables were written" in out
    assert (recipe.dir / "data/dev/feats.scp").read_text() == f"a-1 {recipe.dir}/fbank/dev.1.ark:5\n"


@pytest.mark.parametrize(("name", "kind"), [(".lock", fcntl.LOCK_EX), (".in_use", fcntl.LOCK_SH)])
def test_tables_of_another_recipe_are_not_rewritten_while_it_works(tmp_path, moved, name, kind):
    recipe, old = moved
    other = recipe.dir.with_name("other")
    recipe.dir.rename(other)
    fresh = Recipe(tmp_path / "fresh")
    fresh.dir.rename(recipe.dir)
    options = ("--train_sets", "other/train", "--stage", 0, "--stop_stage", 2)
    with locked(other / "data" / name, kind):
        _, err = recipe.run(*options, status=1)
    assert "../other/data" in one_line(err)
    assert (other / "data/dev/feats.scp").read_text() == f"a-1 {old}/fbank/dev.1.ark:5\n"
    recipe.run(*options)
    assert (other / "data/dev/feats.scp").read_text() == f"a-1 {other}/fbank/dev.1.ark:5\n"


def test_second_path_to_the_same_folder_is_no_move(tmp_path):
    """As a bind mount is, or an automounter's: the old path leads to the folder still."""
    recipe = Recipe(tmp_path / "mount")
    recipe.run("--stop_stage", 2)
    link, scp = tmp_path / "link", recipe.dir / "data/dev/wav.scp"
    link.symlink_to(tmp_path / "mount")
    text = "".join(f"{line.split()[0]} {recipe.dir}/corpus/1.wav\n" for line in scp.read_text().splitlines())
    scp.write_text(text)
    recipe.run("--stage", 2, "--stop_stage", 2)
    recipe.calls()
    scp.write_text(text.replace(f"{tmp_path}/mount", str(link)))
    recipe.write("data/.done/place", f"{link}/egs/toy\n{link}\n")
    before = scp.read_text()
    with locked(recipe.dir / "data/.in_use", fcntl.LOCK_SH):
        recipe.run("--stage", 2, "--stop_stage", 2)
    assert scp.read_text() == before and recipe.called() == []


def test_recipe_of_the_benchmark_follows_the_checkout(tmp_path):
    """It lies deeper than the others, in egs/benchmark/data, and reads what lies beside it."""
    recipe = Recipe(tmp_path / "old")
    toy, deep = recipe.dir, recipe.dir.with_name("benchmark") / "data/toy"
    shutil.move(toy, deep)
    (deep.parent / "TEMPLATE").symlink_to("../../TEMPLATE")
    recipe.dir = deep
    recipe.write(toy / "corpus/wav.scp", f"a-1 {toy}/corpus/1.wav\nb-2 {toy}/corpus/1.wav\nb-3 {toy}/corpus/1.wav\n")
    options = ("--stage", 1, "--stop_stage", 4, "--exp_dir", "exp/m", "--model")
    recipe.write(toy / "exp/m/model.pt", "weights")
    recipe.run(*options, toy / "exp/m", "--corpus_dir", toy / "corpus")
    recipe.calls()
    (tmp_path / "old").rename(tmp_path / "new")
    toy = tmp_path / "new/egs/toy"
    recipe.dir, recipe.bin = tmp_path / "new/egs/benchmark/data/toy", tmp_path / "new/bin"
    out, _ = recipe.run(*options, toy / "exp/m", "--corpus_dir", toy / "corpus")
    assert "done again" not in out and recipe.called() == []
    assert f"a-1 {toy}/corpus/1.wav\n" in (recipe.dir / "data/test/wav.scp").read_text()


def test_template_is_the_only_place_that_knows_the_checkout():
    text = "".join(path.read_text() for path in (ROOT / "egs/TEMPLATE").rglob("*.sh"))
    assert text.count('"${template}/../.."') == 1
