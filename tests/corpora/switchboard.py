"""A fake copy of Switchboard-1 release 2 with the MS-State transcripts, and of eval2000."""

from pathlib import Path

from corpora.audio import write_sphere
from corpora.eval2000 import make_eval2000

SECONDS = 6.0
AUDIO = {"sw02901": "swb1_d1/data", "SW02902": "SWB1_D2/DATA", "sw02903": "swb1_d3/data", "sw02905": "swb1_d4/data"}
TRANSCRIPTS = {
    "2901A": [
        (0.0, 0.4, "[silence]"),
        (0.4, 1.435, "well [laughter-maybe] i[t]- it's [noise] them_1 {glimmed} <b_aside> hold on <e_aside>"),
        (1.435, 2.5, "[rowin'/rowing] -[be]cause CDs of IBM's are a C D [vocalized-noise]"),
        (2.5, 3.0, "uh-huh"),
        (2.5, 3.0, "uh-huh"),
        (3.0, 3.4, "[noise] uh-huh [laughter]"),
        (3.4, 3.8, "Uh-huh"),
        (3.8, 3.8, "no time at all"),
        (4.2, 4.0, "before its start"),
        (5.5, 9.0, "it’s late"),
        (7.5, 8.0, "after the end"),
    ],
    "2901B": [
        (0.0, 0.7, "[laughter] [vocalized-noise]"),
        (0.7, 1.2, "uh-huh"),
        (1.2, 2.0, "to[morrow]- -[a]cross [laughter-wha[t]-] [lem[guini]-/linguini] yes -[k]now[n]-"),
        (2.0, 2.6, "the tv's at the US us"),
        (2.6, 3.2, "so[me]thing on WWF ammu[n]ition ex[specially]-/especially] as late"),
    ],
    "2902A": [(0.0, 1.0, "uh-huh"), (1.0, 2.0, "nobody knows"), (1.0, 2.0, "nobody knows")],
    "2902B": [(0.5, 1.5, "uh-huh"), (1.5, 2.5, "")],
    "2903A": [(0.0, 1.0, "a file that is cut off")],
    "2904B": [(0.0, 1.0, "a call without audio")],
}
DICTIONARY = """# a fake dictionary

a ey
a ax
I ay
CDs s iy d iy z
IBM ay b iy eh m
IBM's ay b iy eh m z
TV's t iy v iy z
tv's t iy v iy z
US y uw eh s
us ah s
as ae z
as ax z
W d ah b l y uw
WWF d ah b l y uw d ah b l y uw eh f
them dh eh m
them_1 eh m
yes y eh s
"""
CONV_TAB = """2901, 1, 1077, 1005, 20, 900101
2902, 2, 1005 , 107, 20, 900102
"""


def make(root: Path) -> list[Path]:
    """Write the copy: discs in either case; a call that is truncated, one without audio, one without transcript; a line
    that is there twice, lines without words, without time, beyond the end and after it; every mark of the transcripts.
    """
    corpus = root / "LDC97S62"
    for name, folder in AUDIO.items():
        suffix = ".SPH" if name.isupper() else ".sph"
        write_sphere(corpus / folder / (name + suffix), SECONDS, 8000, 2, "ulaw")
    cut = corpus / "swb1_d3" / "data" / "sw02903.sph"
    cut.write_bytes(cut.read_bytes()[:3000])
    (corpus / "docs").mkdir()
    table = "".join(f"{folder.split('/')[0]} {name.lower()}.sph\n" for name, folder in AUDIO.items())
    (corpus / "docs" / "swb1_all.dvd.tbl").write_text(table)
    transcripts = root / "transcripts" / "swb_ms98_transcriptions"
    for side, lines in TRANSCRIPTS.items():
        folder = transcripts / side[:2] / side[:4]
        folder.mkdir(parents=True, exist_ok=True)
        written = [f"sw{side}-ms98-a-{n:04d} {a:f} {b:f} {text}" for n, (a, b, text) in enumerate(lines, 1)]
        (folder / f"sw{side}-ms98-a-trans.text").write_text("\n".join(written) + "\n", encoding="utf-8")
        (folder / f"sw{side}-ms98-a-word.text").write_text("".join(f"{line.split()[0]} 0 1 x\n" for line in written))
    (transcripts / "sw-ms98-dict.text").write_text(DICTIONARY)
    return [corpus, root / "transcripts", *make_eval2000(root)]
