"""The voices of the mini corpus: an accent of English and a variant (the vocal tract), ``<accent>+<variant>``.

Variants that nobody would take for a person are left out: whispers, robots, strong echoes, the raw Klatt synthesisers,
and a few jokes (croak, Demonic, Tweaky, zac ...); so is Reed, whose noise differs from run to run. Test and dev have
variants that no training utterance has.
"""

ACCENTS = tuple("en en-us en-gb-scotland en-gb-x-rp en-gb-x-gbclan en-gb-x-gbcwmd en-029 en-us-nyc".split())
TEST_VARIANTS = tuple("f2 f4 Annie belinda linda m2 m4 m7 Michael robert paul victor".split())
DEV_VARIANTS = tuple("f5 Andrea m6 Alex antonio Denis".split())
TRAIN_VARIANTS = (
    "Mr serious",
    *(
        "Alicia Andy Diogo Gene Gene2 Henrique Hugo Jacky Lee Marco Mario Mike Nguyen Storm adam anika aunty "
        "benjamin boris david ed edward2 f1 f3 grandma grandpa gustave ian iven iven2 iven3 iven4 john kaukovalta m1 "
        "m3 m5 m8 marcelo max michel miguel mike2 norbert pablo pedro quincy rob sandro shelby steph steph2 steph3 "
        "travis"
    ).split(),
)
VARIANTS = {"train": TRAIN_VARIANTS, "dev": DEV_VARIANTS, "test": TEST_VARIANTS}


def voices(part: str) -> list[str]:
    """All voices of ``train``, ``dev`` or ``test``."""
    return [f"{accent}+{variant}" for accent in ACCENTS for variant in VARIANTS[part]]


def speaker(voice: str) -> str:
    """The speaker id of a voice: ``en-us+Mr serious`` is ``en-us-mr-serious``."""
    return voice.replace("+", "-").replace(" ", "-").lower()
