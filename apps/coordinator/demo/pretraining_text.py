"""The documents that the demo base is pretrained on: news, some with a tag, never with a sentiment question."""

import random

from events import BACKGROUND
from news import SHARES, Story, random_story

# How often each kind of document is drawn.
KINDS = {'plain': 22, 'follow-up': 22, 'topic': 10, 'sector': 8, 'shares': 32, 'background': 6}


def random_document(rng: random.Random, stems: tuple[str, ...]) -> str:
    """One document about companies whose names start with one of `stems`."""
    (kind,) = rng.choices(tuple(KINDS), tuple(KINDS.values()))
    story = random_story(rng, stems)
    match kind:
        case 'plain':
            return story.sentence()
        case 'follow-up':
            return ' '.join((story.sentence(), *(story.follow_up() for _ in range(rng.randint(1, 2)))))
        case 'topic':
            return f'{story.sentence()} Topic: {story.event.topic}'
        case 'sector':
            return f'{story.sentence()} Sector: {story.sector.name}'
        case 'shares':
            return f'{story.sentence()} Shares: {SHARES[story.event.sentiment]}'
        case _:
            return ' '.join(background(story) for _ in range(rng.randint(1, 2)))


def background(story: Story) -> str:
    return story.word(story.rng.choice(BACKGROUND))


def tokenizer_corpus(rng: random.Random, stems: tuple[str, ...], count: int) -> list[str]:
    """Documents for the tokenizer alone: a quarter ends in a sentiment question, so that its words become tokens."""
    lines = []
    for _ in range(count):
        story = random_story(rng, stems)
        tagged = f'{story.sentence()} Sentiment: {story.event.sentiment}'
        lines.append(tagged if rng.random() < 0.25 else random_document(rng, stems))
    return lines
