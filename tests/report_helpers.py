"""Made-up experiments for the pages about them, and a check of such pages."""

import html
import html.parser
import json
import math
import random
import re
import shutil
import subprocess

from routing_helpers import write_routing

from omni_asr.scoring.score import score

SETS = ["test", "test_noisy"]
SENTENCES = """the meeting starts at half past nine on thursday
please call seven four two one nine zero
turn the lights off in the kitchen
my name is spelt b r o w n
the train to leeds leaves from platform eleven
set an alarm for twenty five to six
send the parcel to thirty two oak street""".splitlines()


def decoded(source, sentence, errors):
    """What a recogniser with so many errors might make of a sentence."""
    words = []
    for word in sentence.split():
        draw = source.random()
        if draw < errors:
            words.append(
                {"nine": "five", "five": "nine", "the": "a", "b": "p"}.get(word, source.choice(["uh", "to", "in"]))
            )
        elif draw > errors * 1.5:
            words.append(word)
        if source.random() < errors / 4:
            words.append(source.choice(["the", "a", "and"]))
    return " ".join(words)


def make_experiment(folder, router="omni", seed=1, errors=0.05, layers=4, experts=4, steps=1200, sets=SETS):
    """An experiment folder as training, decoding and scoring leave it, with the data directories beside it."""
    source = random.Random(f"{router}{seed}")
    name = f"{router}_base" + (f"_s{seed}" if seed > 1 else "")
    exp = folder / "exp" / name
    exp.mkdir(parents=True)
    sparse = router != "dense"
    info = {
        "router": router, "experts": f"{layers}x{experts if sparse else 1}", "seed": seed,
        "params_total": 5_213_000 if sparse else 2_410_000, "params_active": 2_410_000, "hours": 2.04, "steps": steps,
        "epochs": 12, "commit": "0123456789abcdef0123456789abcdef01234567", "tokens": "unigram 170",
        "train_seconds": 565.0,
    }  # fmt: skip
    (exp / "model_info.json").write_text(json.dumps(info))
    (exp / "cmd.txt").write_text(f"omni-asr train --config conf/base.yaml --router {router} --seed {seed}\n")
    write_training(exp / "train.jsonl", source, steps, layers, experts if sparse else 0, errors)
    for index, name in enumerate(sets):
        write_decoded(folder / "data" / name, exp / f"decode_{name}", source, errors * (1 + 1.5 * index))
        if sparse:
            load = [shares(source, experts, 0.5) for _ in range(layers)]
            (exp / f"decode_{name}" / "load.json").write_text(json.dumps({"load": load, "frames": 51234}))
    if sparse:
        write_routing(exp, experts=[experts] * layers, sets=sets, wer=100 * errors, seed=seed)
    return exp


def shares(source, experts, spread):
    weights = [math.exp(source.gauss(0, spread)) for _ in range(experts)]
    return [weight / sum(weights) for weight in weights]


def write_training(path, source, steps, layers, experts, errors):
    with open(path, "w", encoding="utf-8") as file:
        goal = [shares(source, experts, 0.35) for _ in range(layers)] if experts else []
        for step in range(10, steps + 1, 10):
            rest = math.exp(-step / steps * 6)
            ctc = 90 * rest + 4 + source.gauss(0, 1.5)
            load = [
                [
                    (1 - rest) * share + rest * noise
                    for share, noise in zip(layer, shares(source, experts, 1), strict=True)
                ]
                for layer in goal
            ]
            record = {
                "type": "step", "step": step, "epoch": step // 100, "loss": ctc + 0.01, "ctc": ctc,
                "balance": 1 + 0.6 * rest + abs(source.gauss(0, 0.02)) if experts else None,
                "grad_norm": math.exp(source.gauss(0, 0.4)) * (2 + 30 * rest), "utts_per_s": 90.0,
                "lr": 1e-3 * min(step / 200, 1 - step / steps), "times_real_time": 300.0, "load": load,
            }  # fmt: skip
            file.write(json.dumps(record) + "\n")
            if step % 100 == 0:
                valid = {"type": "valid", "step": step, "epoch": step // 100, "ctc": 80 * rest + 6, "load": load}
                file.write(json.dumps(valid | {"wer": 100 * (0.9 * rest + errors)}) + "\n")


def write_decoded(data_dir, decode_dir, source, errors):
    for folder in (data_dir, decode_dir):
        folder.mkdir(parents=True, exist_ok=True)
    ids = [f"voice{index % 6:02d}-{index:04d}" for index in range(120)]
    sentences = {utterance: SENTENCES[index % len(SENTENCES)] for index, utterance in enumerate(ids)}
    tables = {
        data_dir / "text": sentences,
        data_dir / "utt2spk": {utterance: utterance.split("-")[0] for utterance in ids},
        decode_dir / "text": {u: decoded(source, s, errors * (1 + 2 * (u < "voice01"))) for u, s in sentences.items()},
        decode_dir / "score": {utterance: f"{-abs(source.gauss(0.1, 0.1)):.4f}" for utterance in ids},
    }
    for path, table in tables.items():
        path.write_text("".join(f"{key} {value}\n" for key, value in table.items()), encoding="utf-8")
    score(data_dir, decode_dir)


class Page(html.parser.HTMLParser):
    """Checks that elements close in order and that nothing wide is cut off, and keeps what a reader sees."""

    VOID = {"meta", "br", "input"}

    def __init__(self, text):
        super().__init__()
        self.open, self.classes, self.text, self.links = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, name, attributes):
        self.links += [value for key, value in attributes if key in ("src", "href", "xlink:href")]
        around = {one for classes in self.classes for one in classes}
        assert name != "table" or "scroll" in around, "a table that is wider than the page can be scrolled"
        assert name != "svg" or around & {"wide", "panels"}, "a figure has a least width, or is a panel"
        if name not in self.VOID:
            self.open.append(name)
            self.classes.append(dict(attributes).get("class", "").split())

    def handle_endtag(self, name):
        assert self.open.pop() == name
        self.classes.pop()

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.text.append(data)

    @property
    def seen(self):
        return " ".join(" ".join(self.text).split())


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def browse(page, profile, *options):
    """Open a file in a browser without a window; returns what it prints."""
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
        f"--user-data-dir={profile}", *options, page.as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, check=True, capture_output=True, timeout=120, text=True).stdout


MEASURE = """<script>addEventListener("load", () => {
  document.title = JSON.stringify([...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument, width = page.documentElement.clientWidth;
    const size = svg => parseFloat(svg.getAttribute("font-size") ?? 8.5)
      * svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    return {
      width, beyond: page.documentElement.scrollWidth - width,
      letters: Math.min(...[...page.querySelectorAll("svg")].map(size).filter(size => size > 0)),
      scrolled: [...page.querySelectorAll("#results .scroll")].map(one => one.scrollWidth - one.clientWidth),
    };
  }));
})</script>"""


def layout(pages, folder, widths=(400, 1200)):
    """Each page at each width in a browser: pixels that do not fit, the size of letters in figures, scrolled tables."""
    frames = [f'<iframe src="{page.as_uri()}" style="width:{width}px"></iframe>' for page in pages for width in widths]
    path = folder / "frames.html"
    path.write_text(f"<!DOCTYPE html><title></title>{''.join(frames)}{MEASURE}")
    found = browse(path, folder / "browser", "--allow-file-access-from-files", "--hide-scrollbars", "--dump-dom")
    measured = json.loads(html.unescape(re.search(r"<title>(.*?)</title>", found)[1]))
    assert len(measured) == len(frames)
    return measured
