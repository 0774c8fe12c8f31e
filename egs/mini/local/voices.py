"""The voices of the mini corpus: an accent of English and a variant (the vocal tract), ``<accent>+<variant>``.

Variants that nobody would take for a person are left out: whispers, robots, strong echoes, the raw Klatt synthesisers,
and a few jokes (croak, Demonic, Tweaky, zac ...); so is Reed, whose noise differs from run to run. Test and dev have
variants that no training utterance has.
"""

ACCENTS = tuple("en en-us en-gb-scotland en-gb-x-rp en-gb-x-gbclan en-gb-x-gbcwmd".split())
TEST_VARIANTS = tuple("f2 f3 Annie steph m4 m7 max Michael pablo paul robert victor".split())
DEV_VARIANTS = tuple("f5 steph2 m6 Alex antonio Denis".split())
TRAIN_VARIANTS = (
    "Mr serious",
    *(
        "adam Alicia Andrea Andy anika aunty belinda benjamin boris david Diogo ed edward2 f1 f4 Gene Gene2 "
        "grandma grandpa gustave Henrique Hugo ian iven iven2 iven3 iven4 Jacky john kaukovalta Lee linda m1 "
        "m2 m3 m5 m8 marcelo Marco Mario michel miguel Mike mike2 Nguyen norbert pedro quincy rob sandro "
        "shelby steph3 Storm travis"
    ).split(),
)
VARIANTS = {"train": TRAIN_VARIANTS, "dev": DEV_VARIANTS, "test": TEST_VARIANTS}


def voices(part: str) -> list[str]:
    """All voices of ``train``, ``dev`` or ``test``."""
    return [f"{accent}+{variant}" for accent in ACCENTS for variant in VARIANTS[part]]


def speaker(voice: str) -> str:
    """The speaker id of a voice: ``en-us+Mr serious`` is ``en-us-mr-serious``."""
    return voice.replace("+", "-").replace(" ", "-").lower()
