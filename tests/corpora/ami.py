"""A fake copy of AMI: headsets and manual annotations."""

import re
from pathlib import Path

from corpora.audio import write_audio

SECONDS = 6.0
LONG = " ".join(
    f"{1 + place / 10:.1f}-{1.1 + place / 10:.1f}:{word}" + {4: " 1.5:,", 15: " 2.6:,", 29: " 4.0:,"}.get(place, "")
    for place, word in enumerate(("red blue green white " * 9).split()[:34])
)
"""34 words and three commas from 1.0 to 4.4 s; the comma at 2.6 s is the nearest to the middle."""
SAID = {  # letter, headset and name of a speaker; segments, each of elements: see element()
    "ES2002a": {
        "A 0 MEE901": [
            "0.50-0.70:So 0.70-1.20:we 1.20-1.50:start 1.50:. 1.60-1.90:It&#8217;s 1.90-2.20:café 2.20:? "
            "2.30-2.60:Yeah",
            "0.50-0.70:So 0.70-1.20:we 1.20-1.50:start",
            "<vocalsound/>",
            "3.00-3.40:M_P_3",
            "3.60-3.60:oh",
            "",
        ],
        "B 1 FEE902": ["1.00-1.50:Nobody 1.50-2.00:hears 2.00-2.20:me"],
        "C 2 MEE907": ["1.00-1.50:Nobody 1.50-2.00:wrote 2.00-2.20:this"],
        "E": ["1.00-1.50:Whose 1.50-2.00:voice"],
    },
    "EN2001a": {
        "A 0 MEO903": ["0.10-0.90:Cut 0.90-1.50:off"],
        "E 4 FEO904": ["0.30-0.80:Five 0.80-1.10:of 1.10-1.40:us 1.40:."],
    },
    "IS1007d": {
        "A 5 MIO905": ["0.20-0.90:Out 0.90-1.50:of 1.50-1.80:range"],
        "B 0 MIO906": ["0.20-0.90:Anti-trust 0.90:, 1.00-1.40:um,I 1.40-1.60:think"],
    },
    "ES2011a": {
        "A 1 FEE913": [
            "0.40-0.80:Mm-hmm 0.80:, 0.80-1.40:X_M_L <vocalsound/> ~1.40-1.60:wh <disfmarker/> untimed",
            "1.50-1.90:Okay",
            "5.50-6.40:I 6.40-6.80:don't 6.80:.",
            "7.00-7.30:Gone",
        ],
        "B 0 MEO915": [LONG, "right then"],
    },
    "IB4001": {
        "A 0 MIB916": [
            "0.20-0.60:Uh 0.60-0.90:huh 0.90:. 1.00-1.20:O_K",
            "2.00-2.02:a",
            "3.00:.",
            "4.35-4.60:Um-hum 4.60:. 4.70-4.90:T_V_",
        ]
    },
    "EN2002a": {
        "A 0 MEE073": ["0.50-0.90:Um 0.90:, 1.00-1.50:we&#39;re 1.50-2.10:late 2.10:? 2.10-2.60:Uh-huh 2.60:."]
    },
    "ES2004a": {
        "A 2 FEO919": ["0.50-0.90:Yes", "<gap/> 1.00-1.40:naïve <nonvocalsound/> 1.40-1.80:plan 1.80:."],
        "C 0 MEE920": ["0.70-1.30:Right 1.30:. 1.40-1.90:Go 1.90-2.30:on"],
    },
}
NITE = 'xmlns:nite="http://nite.sourceforge.net/"'
PROLOG = '<?xml version="1.0" encoding="ISO-8859-1" standalone="yes"?>\n'


def element(text: str, name: str) -> str:
    """XML of ``start-end:word``, ``~start-end:broken``, ``time:,`` (punctuation), ``word`` (no times) or ``<tag/>``."""
    timed = re.fullmatch(r"(~?)([\d.]+)(?:-([\d.]+))?:(.*)", text)
    if text.startswith("<"):
        return f'{text[:-2]} nite:id="{name}" type="laugh"/>'
    if not timed:
        return f'<w nite:id="{name}">{text}</w>'
    broken, start, end, word = timed.groups()
    more = ' trunc="true"' if broken else "" if end else ' punc="true"'
    return f'<w nite:id="{name}" starttime="{start}" endtime="{end or start}"{more}>{word}</w>'


def write_speaker(folder: Path, meeting: str, letter: str, segments: list[str]) -> None:
    """Write the words and the segments of a speaker; an empty segment points at a word that is not there."""
    words, spans = [], []
    stem = f"{meeting}.{letter}"
    for number, segment in enumerate(segments):
        texts = segment.split()
        first, last = len(words), len(words) + max(len(texts), 1) - 1
        ids = [f"id({stem}.words{place})" for place in ([first, last] if last > first else [first])]
        if not texts:
            ids = [f"id({stem}.words999)"]
        words += [element(text, f"{stem}.words{first + place}") for place, text in enumerate(texts)]
        times = f'transcriber_start="{4.6 + number:.2f}" transcriber_end="{5.2 + number:.2f}"'
        href = f"{stem}.words.xml#{'..'.join(ids)}"
        spans.append(f'<segment nite:id="{stem}.sync.{number}" {times}><nite:child href="{href}"/></segment>')
    prolog = "" if meeting == "ES2004a" else PROLOG
    for kind, rows in (("words", words), ("segments", spans)):
        body = "\n".join([f'{prolog}<nite:root nite:id="{stem}.{kind}" {NITE}>', *rows, "</nite:root>\n"])
        path = folder / kind / f"{stem}.{kind}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body, encoding="iso-8859-1")


def write_annotations(folder: Path, others: list[str]) -> None:
    """Write the annotations of the meetings of ``SAID``, and of others in which nobody says anything."""
    meetings = []
    for meeting, speakers in {**SAID, **{name: {"A 0 MXX001": []} for name in others}}.items():
        rows = []
        for who, segments in speakers.items():
            letter, _, known = who.partition(" ")
            write_speaker(folder, meeting, letter, segments)
            if known:
                channel, name = known.split()
                names = f'channel="{channel}" nxt_agent="{letter}" global_name="{name}"'
                rows.append(f'<speaker nite:id="{meeting}_{letter}" {names}/>')
        heading = f'<meeting nite:id="meet_{meeting}" observation="{meeting}" duration="{SECONDS}">'
        meetings.append("\n".join([heading, *rows, "</meeting>"]))
    (folder / "corpusResources").mkdir()
    (folder / "corpusResources" / "meetings.xml").write_text(
        "\n".join([f'{PROLOG}<nite:root nite:id="meetings" {NITE}>', *meetings, "</nite:root>\n"]),
        encoding="iso-8859-1",
    )
    (folder / "AMI-metadata.xml").write_text("<corpus/>\n")


def others() -> list[str]:
    """Meetings of the corpus of which the fake copy has no speech."""
    series = (
        [f"ES20{n:02d}" for n in range(2, 17)]
        + [f"IS100{n}" for n in range(10)]
        + [f"TS30{n:02d}" for n in range(3, 13)]
    )
    names = [f"{name}{part}" for name in series for part in "abcd"]
    names += "EN2001b EN2001d EN2001e EN2003a EN2004a EN2005a EN2006a EN2006b EN2009b EN2009c EN2009d".split()
    names += "EN2002b EN2002c EN2002d IB4002 IB4003 IB4004 IB4005 IB4010 IB4011".split()
    names += [f"IN10{n}" for n in "01 02 05 07 08 09 12 13 14 16".split()]
    return [name for name in names if name not in SAID]


def make(root: Path) -> list[Path]:
    """Write the copy; see ``SAID`` for the traps. Headset 1 of ES2002a and 5 of IS1007d are missing, and so are the
    words of C in ES2002a; headset 0 of EN2001a is cut, letters do not tell the headset, and files of other microphones
    lie about.
    """
    audio = root / "AMI" / "amicorpus"
    write_annotations(root / "AMI" / "annotations", others())
    (root / "AMI" / "annotations" / "words" / "ES2002a.C.words.xml").unlink()
    for meeting, speakers in SAID.items():
        for who in speakers:
            channel = who.split()[1] if " " in who else ""
            if channel and (meeting, channel) not in {("ES2002a", "1"), ("IS1007d", "5")}:
                write_audio(audio / meeting / "audio" / f"{meeting}.Headset-{channel}.wav", SECONDS)
    cut = audio / "EN2001a" / "audio" / "EN2001a.Headset-0.wav"
    cut.write_bytes(cut.read_bytes()[:9000])
    write_audio(audio / "ES2002a" / "audio" / "ES2002a.Mix-Headset.wav", 0.5)
    write_audio(audio / "ES2002a" / "audio" / "ES2002a.Array1-01.wav", 0.5, channels=2)
    return [root / "AMI"]
