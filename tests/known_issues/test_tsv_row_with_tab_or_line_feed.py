"""A tab or a line feed in a field of a corpus's list cut the sentence there and moved what follows, in silence."""

import csv
import gzip

from corpora import fleurs, voxpopuli
from corpora.audio import write_audio
from corpora.commonvoice import COLUMNS, RELEASE
from corpora.programs import run_local

from omni_asr.kaldi.tables import read_table

SENTENCES = ["The cat sat.", "We left early\tbecause it rained.", "They came back\nafter the storm.", "All is well."]
TAB = "has 14 columns, not 13 ({}.tsv:3)"
LINE_FEED = "is broken over several lines by a line feed in a field ({}.tsv:4-5)"


def prepared(recipe, out, *options):
    done = run_local(recipe, "prepare.py", f"--data-dir={out}", "--max-removed=0.9", *options)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_common_voice(tmp_path):
    folder = tmp_path / RELEASE / "en"
    lines = [COLUMNS.replace(" ", "\t")]
    for number, sentence in enumerate(SENTENCES):
        write_audio(folder / "clips" / f"common_voice_en_{number}.mp3", 0.5)
        values = {"client_id": f"{number:x<128}", "path": f"common_voice_en_{number}.mp3", "sentence": sentence}
        lines.append("\t".join(values.get(name, "") for name in COLUMNS.split()))
    for name in ("train", "dev", "test", "validated"):
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n")
    options = [f"--sets={name}" for name in ("train", "test")]
    log = prepared("commonvoice", tmp_path / "out", f"--corpus-dir={tmp_path}", *options)
    for name in ("train", "test"):
        data = tmp_path / "out" / name
        assert list(read_table(data / "text").values()) == ["the cat sat", "all is well"]
        assert read_table(data / "removed_in_preparation") == {
            "1xxxxxxxxxxx-common_voice_en_1": TAB.format(name),
            "2xxxxxxxxxxx-common_voice_en_2": LINE_FEED.format(name),
        }
        assert f"{name}: lost: 1, {TAB.format(name)}" in log
    assert len(read_table(tmp_path / "out" / "test" / "utt2gender")) == 2


def test_a_row_whose_clip_is_not_known_is_named_by_its_line(tmp_path):
    folder = tmp_path / RELEASE / "en"
    write_audio(folder / "clips" / "common_voice_en_1.mp3", 0.5)
    for name in ("dev", "test"):
        (folder / f"{name}.tsv").write_text("client_id\tpath\tsentence\na\tb\tcommon_voice_en_9.mp3\tHello\n")
    rows = ["client_id\tpath\tsentence", "a\tb\tcommon_voice_en_9.mp3\tHello", "c\tcommon_voice_en_1.mp3\tYes"]
    (folder / "validated.tsv").write_text("\n".join(rows) + "\n")
    prepared("commonvoice", tmp_path / "out", f"--corpus-dir={tmp_path}", "--sets=validated")
    removed = read_table(tmp_path / "out" / "validated" / "removed_in_preparation")
    assert removed == {"line2": "has 4 columns, not 3 (validated.tsv:2)"}, "not: is of dev or test"


def test_fleurs(tmp_path):
    [folder] = fleurs.make(tmp_path)
    [table] = folder.glob("**/test.tsv")
    rows = table.read_text().splitlines()
    first, second = rows[0].split("\t"), rows[1].split("\t")
    first[2] += "\tand more"
    second[3] += "\nand more"
    table.write_text("\n".join(["\t".join(first), "\t".join(second), *rows[2:]]) + "\n")
    prepared("fleurs", tmp_path / "out", f"--corpus-dir={folder}", "--sets=test")
    removed = read_table(tmp_path / "out" / "test" / "removed_in_preparation")
    name, other = (row[1].removesuffix(".wav") for row in (first, second))
    assert removed[name] == "has 8 columns, not 7 (test.tsv:1)"
    assert removed[other] == "is broken over several lines by a line feed in a field (test.tsv:2-3)"
    assert not {name, other} & {key.rpartition("-")[2] for key in read_table(tmp_path / "out" / "test" / "wav.scp")}


def test_the_annotation_of_voxpopuli(tmp_path):
    folder = voxpopuli.make_raw(tmp_path)
    [annotation] = folder.glob("**/asr_en.tsv.gz")
    csv.field_size_limit(1 << 20)
    with gzip.open(annotation, "rt", newline="") as file:
        rows = list(csv.reader(file, delimiter="|"))
    found = next(row for row in rows if row[rows[0].index("normed_text")] == "thank you")
    found.insert(5, "one too many")
    with gzip.open(annotation, "wt", newline="") as file:
        csv.writer(file, delimiter="|").writerows([*rows, ["only", "two"]])
    prepared("voxpopuli", tmp_path / "out", f"--corpus-dir={folder}", f"--audio-dir={tmp_path / 'cut'}")
    for name in ("train", "dev", "test"):
        removed = read_table(tmp_path / "out" / name / "removed_in_preparation")
        assert removed[f"line{len(rows) + 1}"] == f"has 2 columns, not 14 (asr_en.tsv.gz:{len(rows) + 1})"
        broken = [key for key, reason in removed.items() if reason.startswith("has 15 columns, not 14")]
        assert broken == ([f"00{found[3]}-{found[2]}-{found[0]}".replace(":", "-")] if name == found[-2] else []), name
