"""A small grammar of company news: who, which sector, what happened, and what it means for the company.

A phrasing is a string with two kinds of holes: `[a|b|c]` picks one alternative (nested brackets are allowed, an
empty alternative is too) and `{slot}` is filled by `Story.fill`. Companies, people and numbers are generated; every
name is invented, and likeness to a real company is chance. Nothing here is quoted from anywhere.
"""

import random
import re
import zlib
from dataclasses import dataclass, field

from events import ATTRIBUTIONS, EVENTS, FOLLOW_UPS, Event
from sectors import SECTORS, Sector

SENTIMENTS = ('positive', 'negative', 'neutral')
SHARES = {'positive': 'up', 'negative': 'down', 'neutral': 'flat'}

NAME_STARTS = (
    'Vel Bron Kas Tal Mer Quin Har Dun Fen Gal Ister Jor Kel Lum Mar Nor Pel Rav Sten Tor Ul Var Wes Yor Zan Bel Ard '
    'Cor Del Far Ost Pern Hol Ing'
).split()
NAME_ENDS = (
    'mont tek ova ic wood dale aris on ex field ium and tera ford well ster min ora via nix hold ner stad lin'
).split()
SURNAMES = (
    'Abel Brandt Castell Dorn Ekman Farrow Grell Hobart Ilves Jansen Korda Lindqvist Moreau Novak Orsini Pryce'.split()
)
WEEKDAYS = 'Monday Tuesday Wednesday Thursday Friday'.split()
MONTHS = 'January March April May June July September October November'.split()
COUNTRIES = 'Norway Chile Kenya Poland Japan Canada Brazil India Spain Egypt Peru Austria'.split()
PERCENTS = (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 15, 18, 20, 25, 30)
AMOUNTS = (2, 3, 4, 5, 6, 8, 9, 12, 15, 20, 25, 30, 40, 50, 60, 80, 90)
COUNTS = (60, 80, 90, 120, 150, 200, 250, 300, 400, 500, 600, 800, 900)
QUARTERS = ('first', 'second', 'third', 'fourth')

ALTERNATIVES = re.compile(r'\[([^\[\]]*)\]')


def expand(phrasing: str, rng: random.Random) -> str:
    """Replace every `[a|b]` by one of its alternatives, innermost first."""
    while True:
        phrasing, count = ALTERNATIVES.subn(lambda match: rng.choice(match.group(1).split('|')), phrasing)
        if count == 0:
            return phrasing


def is_held_out_name(stem: str) -> bool:
    """True for the eighth of the company names that appear in the test set alone, whatever the seed."""
    return zlib.crc32(stem.encode()) % 8 == 0


ALL_STEMS = tuple(start + end for start in NAME_STARTS for end in NAME_ENDS)
TRAIN_STEMS = tuple(stem for stem in ALL_STEMS if not is_held_out_name(stem))
TEST_STEMS = tuple(stem for stem in ALL_STEMS if is_held_out_name(stem))


@dataclass
class Story:
    """One event at one company: `sentence()` words it, again and differently at each call."""

    event: Event
    sector: Sector
    company: str
    other: str
    rng: random.Random = field(repr=False)

    def sentence(self) -> str:
        phrasing = self.rng.choice(self.event.phrasings)
        if self.rng.random() < 0.15 and not re.search(r'says|,', phrasing):
            phrasing = phrasing.removesuffix('.') + self.rng.choice(ATTRIBUTIONS) + '.'
        return self.word(phrasing)

    def follow_up(self) -> str:
        """A second sentence that says how the market, or the company, takes it."""
        return self.word(self.rng.choice(FOLLOW_UPS[self.event.sentiment]))

    def word(self, phrasing: str) -> str:
        text = re.sub(r'\{(\w+)\}', lambda match: self.fill(match.group(1)), expand(phrasing, self.rng))
        text = re.sub(r' +([.,])', r'\1', re.sub(r' {2,}', ' ', text)).strip()
        return text[0].upper() + text[1:]

    def fill(self, slot: str) -> str:
        rng = self.rng
        match slot:
            case 'c':
                return self.company
            case 'd':
                return self.other
            case 'goods' | 'product' | 'site' | 'client':
                return rng.choice(getattr(self.sector, slot))
            case 'percent':
                return f'{rng.choice(PERCENTS)} percent'
            case 'money':
                return f'${rng.choice(AMOUNTS)} {rng.choice(("million", "million", "billion"))}'
            case 'count':
                return str(rng.choice(COUNTS))
            case 'few':
                return rng.choice(('two', 'three', 'four', 'five', 'six'))
            case 'when':
                return rng.choice(
                    ('', '', '', f'on {rng.choice(WEEKDAYS)}', 'this week', f'in {rng.choice(MONTHS)}', 'today')
                )
            case 'day':
                return rng.choice(WEEKDAYS)
            case 'month':
                return rng.choice(MONTHS)
            case 'country':
                return rng.choice(COUNTRIES)
            case 'quarter':
                return f'{rng.choice(QUARTERS)} quarter'
            case 'person':
                return rng.choice(SURNAMES)
            case 'year':
                return str(rng.randint(2027, 2036))
            case _:
                raise ValueError(
                    f'unknown slot {{{slot}}} in a phrasing of {self.event.topic}; known slots are in Story.fill'
                )


def company_name(stem: str, sector: Sector, rng: random.Random) -> str:
    return f'{stem} {rng.choice(sector.suffixes)}' if rng.random() < 0.5 else stem


def random_story(rng: random.Random, stems: tuple[str, ...], sentiments: tuple[str, ...] = SENTIMENTS) -> Story:
    """A story whose sentiment, then topic, sector and companies are drawn uniformly."""
    sentiment = rng.choice(sentiments)
    event = rng.choice([event for event in EVENTS if event.sentiment == sentiment])
    sector = rng.choice(SECTORS)
    stem, other_stem = rng.sample(stems, 2)
    return Story(event, sector, company_name(stem, sector, rng), other_stem, rng)
