import { expect, test } from 'vitest';
import { experimentChoices } from './kernel-choices.ts';

test('an experiment keeps the choices it was begun with, whatever the device finds later', async () => {
  const own = new Map<string, unknown>();
  const device = new Map<string, unknown>([['known', 'a']]);
  const choices = experimentChoices(own, device);
  expect(await choices.get('known')).toBe('a');
  expect(await choices.get('new')).toBeUndefined();
  await choices.set('new', 'b');
  expect(device.get('new')).toBe('b');
  device.set('known', 'c');
  device.set('new', 'c');
  const resumed = experimentChoices(own, device);
  expect([await resumed.get('known'), await resumed.get('new')]).toEqual(['a', 'b']);
});
