import { expect, test } from 'vitest';
import { fileNameOf, readAddress, shownAddress } from './address.ts';

test('only the user name and the password of an address are hidden', () => {
  for (const [from, shown] of [
    ['http://ada:pass@example.org/a@b/rows.csv?c=@', 'http://example.org/a@b/rows.csv?c=@'],
    ['HTTPS://ada@example.org/rows.csv', 'https://example.org/rows.csv'],
    ['https://example.org/pack@1/rows.csv', 'https://example.org/pack@1/rows.csv'],
    ['http://ada:p/ss@exa mple/rows.csv', 'http://exa mple/rows.csv'],
    ['preset:alpaca', 'preset:alpaca'],
    ['mine/a@b.csv', 'mine/a@b.csv'],
  ] as const) {
    expect(shownAddress(from)).toBe(shown);
  }
  expect(readAddress('https://example.org/a b.csv')).toEqual({ url: 'https://example.org/a b.csv', headers: {} });
});

test('names are cut before their extension, and keep it', () => {
  expect(fileNameOf(`https://example.org/${'n'.repeat(400)}.jsonl.gz`)).toMatch(/^n{193,200}\.jsonl\.gz$/);
  expect(Buffer.byteLength(fileNameOf(`https://example.org/${'%F0%9F%99%82'.repeat(100)}.csv`))).toBeLessThan(210);
});
