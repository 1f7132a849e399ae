import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { fileStorage } from './storage.ts';

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cotune-storage-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

it('leaves nothing half-written behind when a value cannot be stored', async () => {
  mkdirSync(join(directory, 'slot'));
  writeFileSync(join(directory, 'slot', 'in-the-way'), ''); // a file cannot replace this
  await expect(fileStorage(directory).set('slot', new Uint8Array(9))).rejects.toThrow();
  expect(readdirSync(directory)).toEqual(['slot']);
});

it('deletes what a killed process had half-written', async () => {
  const storage = fileStorage(directory);
  await storage.set('slot', Uint8Array.of(1, 2, 3));
  writeFileSync(join(directory, 'slot.part'), 'torn');
  expect(await storage.get('slot')).toEqual(Uint8Array.of(1, 2, 3));
  await storage.delete('slot');
  expect(readdirSync(directory)).toEqual([]);
});
