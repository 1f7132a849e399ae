import { expect, it } from 'vitest';
import { offeredIds } from './offered-ids.ts';

const ids = (...paths: readonly string[]) => offeredIds('--model', paths).map(({ id }) => id);

it('makes ids of names: lower case, no extension, hyphens for all but letters and digits of any script', () => {
  expect(ids('data/sent_valid.csv', 'My  Model (2)/', '日本', 'Überprüfung.jsonl', '.hidden')).toEqual([
    'sent-valid',
    'my-model-2',
    '日本',
    'überprüfung',
    'hidden',
  ]);
  expect(ids('u\u0308ber.jsonl')).toEqual(['über']);
});

it('refuses a name that leaves no id, and two of one', () => {
  expect(() => ids('a', './___')).toThrow('--model ./___: its name has no letter or digit');
  expect(() => ids('held.jsonl', 'two/Held.csv')).toThrow(
    '--model two/Held.csv would have the id "held", as has held.jsonl: rename one of them',
  );
  expect(() => offeredIds('--model', ['demo'], { demo: 'the one of --demo' })).toThrow(
    'the id "demo", as has the one of --demo',
  );
});
