import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { ENVIRONMENT_VARIABLES, readConfig } from '../src/config.ts';

test('the documented variables are the ones that are read', async () => {
  const page = await readFile(new URL('../../../docs/configuration.md', import.meta.url), 'utf8');
  const documented = [...page.matchAll(/^\| `(COTUNE_[A-Z_]+)` \|/gm)].map((match) => match[1]);
  expect(documented.sort()).toEqual([...ENVIRONMENT_VARIABLES].sort());
});

test('a malformed variable is named', () => {
  expect(readConfig({})).toMatchObject({ publicUrl: undefined, allowedOrigins: [], eventsPerSecond: 20 });
  expect(readConfig({ COTUNE_PUBLIC_URL: 'https://a.example/' }).publicUrl).toBe('https://a.example');
  expect(() => readConfig({ COTUNE_PUBLIC_URL: 'ftp://a' })).toThrow(/COTUNE_PUBLIC_URL: got "ftp:\/\/a"/);
  expect(() => readConfig({ COTUNE_EVENTS_PER_SECOND: 'many' })).toThrow(/COTUNE_EVENTS_PER_SECOND/);
});
