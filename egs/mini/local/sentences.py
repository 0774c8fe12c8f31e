"""The grammar of the mini corpus: what somebody might say to a telephone or a speaker in the kitchen.

Every sentence is made of lower-case words exactly as spoken; spelt names are single letters. The grammar avoids words
that sound like letters or figures (you, see, are, tea, for, oh), which no recogniser could tell apart without context.
"""

import numpy as np

UNITS = "zero one two three four five six seven eight nine".split()
TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split()
WEEKDAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
MONTHS = "january march april june august october november december".split()
NAMES = "anna bob david emma frank grace laura martin oscar victor".split()
STREETS = "church station garden river market".split()
ROADS = "road street avenue".split()
CITIES = "london paris boston chicago toronto melbourne".split()
ROOMS = "kitchen bedroom bathroom garage".split()
DEVICES = "light radio heating television camera".split()
MUSIC = "jazz opera piano".split()
THINGS = "milk bread butter coffee apples sugar".split()
PLACES = "airport hotel museum hospital".split()


class Grammar:
    """Draws sentences with one random generator."""

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator

    def sentence(self) -> str:
        """One sentence of 4 to 13 words, each pattern as likely as its weight."""
        patterns, weights = zip(*PATTERNS, strict=True)
        probabilities = np.array(weights) / sum(weights)
        while True:
            text = patterns[self._generator.choice(len(patterns), p=probabilities)](self)
            if 4 <= len(text.split()) <= 13:
                return text

    def one(self, *choices: str) -> str:
        """One of the choices, evenly."""
        return choices[self._generator.integers(len(choices))]

    def several(self, count: int, choices: list[str]) -> list[str]:
        """Different choices, in random order."""
        return [choices[place] for place in self._generator.permutation(len(choices))[:count]]

    def number(self, low: int, high: int) -> str:
        """A number from ``low`` to ``high`` inclusive, in words."""
        return in_words(int(self._generator.integers(low, high + 1)))

    def digits(self, low: int, high: int) -> str:
        """Between ``low`` and ``high`` figures, one by one."""
        return " ".join(self.one(*UNITS) for _ in range(self._generator.integers(low, high + 1)))

    def day(self) -> str:
        """A day of a month, perhaps with its weekday."""
        date = f"the {self.one(*ORDINALS)} of {self.one(*MONTHS)}"
        return self.one(date, f"{self.one(*WEEKDAYS)} {date}", f"next {self.one(*WEEKDAYS)}")

    def time(self) -> str:
        """A time of day."""
        hour = self.number(1, 12)
        minutes = self.one("five", "ten", "twenty", "twenty five")
        return self.one(
            f"half past {hour}",
            f"{minutes} past {hour}",
            f"{minutes} to {hour}",
            f"{hour} {self.number(10, 59)}",
            f"{hour} in the {self.one('morning', 'evening')}",
            "noon",
        )

    def address(self) -> str:
        """House number, street, perhaps the city."""
        street = f"{self.number(1, 199)} {self.one(*STREETS)} {self.one(*ROADS)}"
        return self.one(street, f"{street} {self.one(*CITIES)}", f"{street} in {self.one(*CITIES)}")

    def spelt(self) -> str:
        """A name and its letters."""
        name = self.one(*NAMES)
        return f"{name} {' '.join(name)}"

    def when(self) -> str:
        """Perhaps a day or a time to end a command with, with a space before."""
        return self.one("", "", f" at {self.time()}", f" on {self.one(*WEEKDAYS)}", f" {self.one('now', 'tonight')}")

    def device(self) -> str:
        """A device, perhaps in a room."""
        return self.one(f"the {self.one(*DEVICES)}", f"the {self.one(*DEVICES)} in the {self.one(*ROOMS)}")


def in_words(number: int) -> str:
    """0 to 9999 in words, British style: ``three hundred and five``."""
    if number < 10:
        return UNITS[number]
    if number < 20:
        return TEENS[number - 10]
    if number < 100:
        return TENS[number // 10 - 2] + (f" {UNITS[number % 10]}" if number % 10 else "")
    if number < 1000:
        return f"{UNITS[number // 100]} hundred" + (f" and {in_words(number % 100)}" if number % 100 else "")
    rest = number % 1000
    joint = " and " if 0 < rest < 100 else " "
    return f"{UNITS[number // 1000]} thousand" + (joint + in_words(rest) if rest else "")


PATTERNS = (
    (lambda g: f"{g.one('the number is', 'the answer is')} {g.number(100, 9999)}", 4),
    (lambda g: f"{g.one('add', 'take')} {g.number(10, 999)} and {g.number(10, 99)}", 2),
    (lambda g: f"it costs {g.number(2, 150)} dollars {g.number(10, 99)}", 3),
    (lambda g: f"{g.one('call', 'the code is', 'my number is')} {g.digits(5, 8)}", 6),
    (lambda g: f"{g.one('the meeting is on', 'book the table on')} {g.day()}", 4),
    (lambda g: f"remind me on {g.day()} at {g.time()}", 3),
    (lambda g: f"{g.one('wake me at', 'the train leaves at', 'come home at')} {g.time()}", 5),
    (lambda g: f"we meet {g.one(*NAMES)} at {g.time()} on {g.one(*WEEKDAYS)}", 3),
    (lambda g: f"{g.one('my name is', 'this is', 'please ask')} {g.spelt()}", 6),
    (lambda g: f"{g.one('i live at', 'send the letter to', 'drive to')} {g.address()}", 6),
    (lambda g: f"{g.one('switch on', 'switch off', 'turn on', 'turn off')} {g.device()}{g.when()}", 5),
    (lambda g: f"{g.one('play some', 'stop the')} {g.one(*MUSIC)} in the {g.one(*ROOMS)}{g.when()}", 4),
    (lambda g: f"set the {g.one(*DEVICES)} to {g.number(5, 60)} degrees{g.when()}", 3),
    (lambda g: f"put {g.number(2, 20)} boxes of {g.one(*THINGS)} on the list", 3),
    (lambda g: f"we need {' and '.join(g.several(3, THINGS))}", 3),
    (lambda g: f"{g.one('open', 'close')} the {g.one('door', 'window')} in the {g.one(*ROOMS)}{g.when()}", 3),
    (lambda g: f"call {g.one(*NAMES)} at the {g.one(*PLACES)} {g.one('today', 'tonight')}", 3),
    (lambda g: f"how far is the {g.one(*PLACES)} from {g.one(*CITIES)}", 2),
    (lambda g: f"{g.one('book', 'find')} {g.number(2, 12)} tickets from {' to '.join(g.several(2, CITIES))}", 3),
    (lambda g: f"what is the weather in {g.one(*CITIES)} on {g.one(*WEEKDAYS)}", 2),
)
