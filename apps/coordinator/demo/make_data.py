"""Writes the demo data: one JSONL file per participant and a held-out test set, in Alpaca form.

    python3 make_data.py [--out data] [--participants 3] [--rows 200] [--test-rows 300] [--split lack-one] [--seed 1]

Needs nothing but Python 3.10 or newer; the same arguments give the same bytes. A row is
{"instruction": "<sentence> Sentiment:", "input": "", "output": "positive" | "negative" | "neutral"}.
With `--split lack-one` participant k never sees label k mod 3, so that none of them can learn the task alone; with
`--split iid` everyone sees all three. The test set holds each label equally often, and its company names occur neither
in any participant's file nor in the pretraining text of the demo model.
"""

import argparse
import json
import random
from pathlib import Path

from news import SENTIMENTS, TEST_STEMS, TRAIN_STEMS, random_story


def make_rows(rng: random.Random, count: int, sentiments: tuple[str, ...], stems, max_characters: int, used: set[str]):
    """`count` shuffled rows, the labels as even as can be; no sentence that is in `used` already, which grows."""
    rows = []
    while len(rows) < count:
        sentiment = sentiments[len(rows) % len(sentiments)]
        sentence = random_story(rng, stems, (sentiment,)).sentence()
        if sentence in used or len(sentence) > max_characters:
            continue
        used.add(sentence)
        rows.append({'instruction': f'{sentence} Sentiment:', 'input': '', 'output': sentiment})
    rng.shuffle(rows)
    return rows


def sentiments_of(participant: int, split: str) -> tuple[str, ...]:
    """The labels that participant 0, 1, … sees."""
    if split == 'iid':
        return SENTIMENTS
    missing = SENTIMENTS[participant % len(SENTIMENTS)]
    return tuple(sentiment for sentiment in SENTIMENTS if sentiment != missing)


def write_jsonl(path: Path, rows: list[dict]) -> None:
    path.write_text(''.join(json.dumps(row) + '\n' for row in rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=Path, default=Path(__file__).parent / 'data')
    parser.add_argument('--participants', type=int, default=3)
    parser.add_argument('--rows', type=int, default=200, help='rows of each participant')
    parser.add_argument('--test-rows', type=int, default=300)
    parser.add_argument('--split', choices=('lack-one', 'iid'), default='lack-one')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--max-characters', type=int, default=68, help='longer sentences are drawn again')
    args = parser.parse_args()

    args.out.mkdir(parents=True, exist_ok=True)
    used: set[str] = set()
    for participant in range(args.participants):
        rng = random.Random(f'{args.seed}/participant-{participant + 1}')
        sentiments = sentiments_of(participant, args.split)
        rows = make_rows(rng, args.rows, sentiments, TRAIN_STEMS, args.max_characters, used)
        write_jsonl(args.out / f'participant-{participant + 1}.jsonl', rows)
    rng = random.Random(f'{args.seed}/test')
    write_jsonl(
        args.out / 'test.jsonl', make_rows(rng, args.test_rows, SENTIMENTS, TEST_STEMS, args.max_characters, used)
    )


if __name__ == '__main__':
    main()
