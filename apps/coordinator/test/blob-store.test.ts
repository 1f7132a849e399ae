import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { openBlobStore } from '../src/blobs/blob-store.ts';
import { openDatabase } from '../src/store/database.ts';

const directory = mkdtempSync(join(tmpdir(), 'cotune-blobs-'));
const db = await openDatabase(directory);
const blobs = await openBlobStore(db, directory, () => 0);
afterAll(async () => {
  await db.destroy();
  rmSync(directory, { recursive: true, force: true });
});

const sha256Of = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

test('bytes that are removed while they are written again are there afterwards or are not, whole', async () => {
  for (let turns = 0; turns < 60; turns++) {
    const bytes = new Uint8Array([turns, 1, 2, 3]);
    const { sha256 } = await blobs.put('state', bytes);
    const again = blobs.put('state', bytes);
    for (let i = 0; i < turns; i++) await turn();
    await Promise.all([again, blobs.remove('state', sha256)]);
    if (await blobs.find('state', sha256)) expect(await blobs.read(sha256)).toEqual(bytes);
    else await expect(blobs.read(sha256)).rejects.toMatchObject({ code: 'not-found' });
  }
});

test('a blob that cannot be read is not said to be missing', async () => {
  const absent = sha256Of(new Uint8Array([1]));
  await expect(blobs.read(absent)).rejects.toThrow(`blob ${absent} is not on disk`);
  await expect(blobs.open(absent)).rejects.toMatchObject({ code: 'not-found' });
  const unreadable = sha256Of(new Uint8Array([2]));
  mkdirSync(join(directory, 'blobs', unreadable.slice(0, 2), unreadable), { recursive: true });
  await expect(blobs.read(unreadable)).rejects.toMatchObject({ code: 'EISDIR' });
});
