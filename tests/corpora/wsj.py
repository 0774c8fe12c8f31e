"""A fake copy of the Wall Street Journal corpus: LDC93S6B and LDC94S13B on their discs."""

from collections.abc import Callable
from pathlib import Path

from corpora.audio import write_sphere

SHORTEN = "pcm,embedded-shorten-v2.00"
WSJ0, WSJ1 = "LDC93S6B", "LDC94S13B"
AUDIO = {
    f"{WSJ0}/11-1.1/wsj0/si_tr_s/01x": ["01xc0201", "01xc0202", "01xc0203", "01xc0205", "01xc0206", "01xo0301"],
    f"{WSJ0}/11-2.1/wsj0/si_tr_s/02y": ["02yc0201", "02yc0202", "02yc0203", "02yc0204"],
    f"{WSJ0}/11-2.1/wsj0/si_tr_s/401": ["401c0201"],
    f"{WSJ0}/11-14.1/wsj0/si_et_20/44x": ["44xc0201", "44xc0202"],
    f"{WSJ0}/11-14.1/wsj0/si_et_20/44y": ["44yc0201", "44yc0202"],
    f"{WSJ0}/11-14.1/wsj0/si_et_05/44x": ["44xc0301"],
    f"{WSJ0}/11-14.1/wsj0/si_et_05/44y": ["44yc0301"],
    f"{WSJ1}/13-1.1/wsj1/si_tr_s/46x": ["46xc0201", "46xc020a"],
    f"{WSJ1}/13-16.1/WSJ1/SI_DT_20/4KX": ["4KXC0301", "4KXC030A"],
    f"{WSJ1}/13-16.1/WSJ1/SI_DT_20/4KY": ["4KYC0301"],
    f"{WSJ1}/13-16.1/WSJ1/SI_DT_05/4KX": ["4KXC0401"],
    f"{WSJ1}/13-16.1/WSJ1/SI_DT_05/4KY": ["4KYC0401"],
    f"{WSJ1}/13-33.1/wsj1/si_et_h1/wsj64k/4ox": ["4oxc0201"],
    f"{WSJ1}/13-33.1/wsj1/si_et_h1/wsj64k/4oy": ["4oyc0201"],
    f"{WSJ1}/13-33.1/wsj1/si_et_h2/wsj5k/4ox": ["4oxc0301"],
    f"{WSJ1}/13-33.1/wsj1/si_et_h2/wsj5k/4oy": ["4oyc0301"],
}
"""Utterances of each folder; folders and utterances in upper case have files so, too."""
UNCOMPRESSED = ("01xc0206", "02yc0201", "02yc0203", "44yc0202")
DOTS = {
    f"{WSJ0}/11-4.1/wsj0/transcrp/dots/si_tr_s/01x/01xc0200.dot": r"""
The heron[<chair_creak] didn\'t wake [loud_breath] (01xc0201)
Quote ,COMMA said the *baker* .PERIOD (01xc0202)
[cough] . ~ (01xc0203)
An entry whose audio is lost (01xc0204)
An entry of no length (01xc0205)
It ran sixty\-one la:ps and then stop(ped)- stopped (01xc0206)
The first of two lines counts (01xc0201)
""",
    f"{WSJ0}/11-4.1/wsj0/transcrp/dots/si_tr_s/02y/02yc0200.dot": r"""
"DOUBLE-QUOTE We don’t know "DOUBLE-QUOTE she said (02yc0201)
They paid 40 crowns (02yc0203)
This file is cut short (02yc0204)
""",
    f"{WSJ0}/11-4.1/wsj0/transcrp/dots/si_tr_s/401/401c0200.dot": "Nobody trains on this one (401c0201)\n",
    f"{WSJ0}/11-14.1/wsj0/si_et_20/44x/44xc0200.dot": r"""
Shares <and> bonds rose .POINT six %PERCENT at U\. Q\. Z\. [door_slam>] ~ (44xc0201)
[phone_ring/] Mr\. Vale\'s --DASH well [/phone_ring] half\-built mill . closed (44xc0202)
""",
    f"{WSJ0}/11-14.1/wsj0/si_et_20/44y/44yc0200.dot": r"""
[tongue_click] (44yc0201)
U\. Q\. Z\.'s compaign ended (44yc0202)
""",
    f"{WSJ0}/11-14.1/wsj0/si_et_05/44x/44xc0300.dot": "A small vocabulary (44xc0301)\n",
    f"{WSJ0}/11-14.1/wsj0/si_et_05/44y/44yc0300.dot": "A smaller one (44yc0301)\n",
    f"{WSJ1}/13-34.1/wsj1/trans/wsj1/si_tr_s/46x/46xc0200.dot": r"""
Three C\. Q\.s were sold (46xc0201)
[static/] Her share \-holder left [/static] (46xc020a)
""",
    f"{WSJ1}/13-16.1/WSJ1/SI_DT_20/4KX/4KXC0300.DOT": r"""
OF COURSE IT IS (4KXC0301)
YES (4KXC030A)
""",
    f"{WSJ1}/13-16.1/WSJ1/SI_DT_20/4KY/4KYC0300.DOT": "NO LONGER (4KYC0301)\n",
    f"{WSJ1}/13-16.1/WSJ1/SI_DT_05/4KX/4KXC0400.DOT": "FIVE (4KXC0401)\n",
    f"{WSJ1}/13-16.1/WSJ1/SI_DT_05/4KY/4KYC0400.DOT": "SIX (4KYC0401)\n",
    f"{WSJ1}/13-34.1/wsj1/trans/wsj1/si_et_h1/4ox/4oxc0200.dot": "Rates fell (4oxc0201)\n",
    f"{WSJ1}/13-34.1/wsj1/trans/wsj1/si_et_h1/4oy/4oyc0200.dot": "Rates rose (4oyc0201)\n",
    f"{WSJ1}/13-34.1/wsj1/trans/wsj1/si_et_h2/4ox/4oxc0300.dot": "Rain (4oxc0301)\n",
    f"{WSJ1}/13-34.1/wsj1/trans/wsj1/si_et_h2/4oy/4oyc0300.dot": "Snow (4oyc0301)\n",
}
TRAIN0 = """\
11_1_1:wsj0/si_tr_s/01x/01xc0201.wv1
11_1_1:wsj0/si_tr_s/01x/01xc0202.wv1
11_1_1:wsj0/si_tr_s/01x/01xc0202.wv1
11_1_1:wsj0/si_tr_s/01x/01xc0203.wv1
11_1_1:wsj0/si_tr_s/01x/01xc0204.wv1
11_1_1:wsj0/si_tr_s/01x/01xc0205.wv1
11_1_1:wsj0/si_tr_s/01x/01xc0206.wv1
11_1_1:wsj0/si_tr_s/01x/01xo0301.wv1
11_2_1:wsj0/si_tr_s/02y/02yc0201.wv1
11_2_1:wsj0/si_tr_s/02y/02yc0202.wv1
11_2_1:wsj0/si_tr_s/02y/02yc0203.wv1
11_2_1:wsj0/si_tr_s/02y/02yc0204.wv1
11_2_1:wsj0/si_tr_s/401/401c0201.wv1
"""
INDICES = {
    f"{WSJ0}/11-13.1/wsj0/doc/indices/train/tr_s_wv1.ndx": TRAIN0,
    f"{WSJ0}/11-13.1/wsj0/doc/indices/test/nvp/si_et_20.ndx": """\
11_14_1: wsj0/si_et_20/44y/44yc0201
11_14_1: wsj0/si_et_20/44y/44yc0202
11_14_1: wsj0/si_et_20/44x/44xc0201
11_14_1: wsj0/si_et_20/44x/44xc0202
""",
    f"{WSJ0}/11-13.1/wsj0/doc/indices/test/nvp/si_et_05.ndx": """\
11_14_1:wsj0/si_et_05/44x/44xc0301
11_14_1:wsj0/si_et_05/44y/44yc0301
""",
    f"{WSJ1}/13-34.1/wsj1/doc/indices/si_tr_s.ndx": """\
13_1_1:wsj1/si_tr_s/46x/46xc0201.wv1
13_1_1:wsj1/si_tr_s/46x/46xc020a.wv1
""",
    f"{WSJ1}/13-34.1/wsj1/doc/indices/h1_p0.ndx": """\
13_16_1:wsj1/si_dt_20/4kx/4kxc0301.wv1
13_16_1:wsj1/si_dt_20/4kx/4kxc030a.wv1
13_16_1:wsj1/si_dt_20/4ky/4kyc0301.wv1
""",
    f"{WSJ1}/13-34.1/wsj1/doc/indices/h2_p0.ndx": """\
13_16_1:wsj1/si_dt_05/4kx/4kxc0401.wv1
13_16_1:wsj1/si_dt_05/4ky/4kyc0401.wv1
""",
    f"{WSJ1}/13-32.1/wsj1/doc/indices/wsj1/eval/h1_p0.ndx": """\
13_32_1:wsj1/si_et_h1/wsj64k/4ox/4oxc0201.wv1
13_32_1:wsj1/si_et_h1/wsj64k/4oy/4oyc0201.wv1
""",
    f"{WSJ1}/13-32.1/wsj1/doc/indices/wsj1/eval/h2_p0.ndx": """\
13_32_1:wsj1/si_et_h2/wsj5k/4ox/4oxc0301.wv1
13_32_1:wsj1/si_et_h2/wsj5k/4oy/4oyc0301.wv1
""",
}


def make(root: Path) -> list[Path]:
    """Write the copy: compressed and uncompressed SPHERE, a second microphone, a disc in upper case, indices that name
    a wrong disc, an utterance listed twice, transcribed twice, without words, without a transcript, without
    audio, of no length, cut short, with digits, every kind of mark, and a word processor's apostrophe.
    """
    write_copy(root, lambda path: path)
    return [root / WSJ0, root / WSJ1]


def flattened(path: str) -> str:
    """A path of the discs in a copy with wsj0/ and wsj1/ only."""
    return "/".join(path.split("/")[2:]).replace("WSJ1", "wsj1")


def write_copy(root: Path, place: Callable[[str], str]) -> None:
    """Write all files, each where ``place`` puts it."""
    for folder, names in AUDIO.items():
        for number, name in enumerate(names):
            suffix = ".WV1" if name.isupper() else ".wv1"
            coding = "pcm" if name in UNCOMPRESSED else SHORTEN
            write_sphere(root / place(f"{folder}/{name}{suffix}"), 0.5 + 0.1 * number, coding=coding)
    train = root / place(f"{WSJ0}/11-1.1/wsj0/si_tr_s/01x/01xc0201.wv1")
    train.with_suffix(".wv2").write_bytes(train.read_bytes())  # as LDC93S6A has
    write_sphere(train.with_name("01xc0205.wv1"), 0.0)
    cut = root / place(f"{WSJ0}/11-2.1/wsj0/si_tr_s/02y/02yc0204.wv1")
    write_sphere(cut, 0.8)
    cut.write_bytes(cut.read_bytes()[:9000])
    for path, text in DOTS.items():
        write(root / place(path), text.lstrip("\n").encode("cp1252"))
    for path, text in INDICES.items():
        write(root / place(path), (f";; File: {Path(path).name}\n;;\n" + text).replace("\n", "\r\n").encode())


def write(path: Path, content: bytes) -> None:
    """Write a file, in a new folder where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
