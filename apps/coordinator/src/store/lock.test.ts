import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { claim, lockDataDir } from './lock.ts';

const root = await mkdtemp(join(tmpdir(), 'cotune-lock-'));
afterAll(() => rm(root, { recursive: true }));
const LOCK = 'coordinator.lock';
const newDirectory = () => mkdtemp(join(root, 'data-'));
const after = (holder: string) => `${LOCK}.${createHash('sha256').update(holder).digest('hex').slice(0, 16)}`;

const DEAD = '1\nof the one that was killed\n';
const HEIR = '2\nof one that was killed while it took over\n';

test.each([
  ['a dead lock', { [LOCK]: DEAD }],
  ['a lock that a power cut left empty', { [LOCK]: '' }],
  ['no lock', {}],
  ['a dead lock whose heir was killed before it took over', { [LOCK]: DEAD, [after(DEAD)]: HEIR }],
  ['a dead heir’s lock that it had still to clear up after', { [LOCK]: HEIR, [after(DEAD)]: HEIR }],
])('of many that find %s at once one gets it', async (_, files) => {
  for (let race = 0; race < 20; race++) {
    const directory = await newDirectory();
    for (const [name, content] of Object.entries(files)) await writeFile(join(directory, name), content);
    const takers = Array.from({ length: 12 }, (_, i) => `${100 + i}\ntaker ${i} of race ${race}\n`);
    const alive = (holder: string) => takers.includes(holder);
    const met = await Promise.all(takers.map((own) => claim(join(directory, LOCK), own, alive)));
    const winners = takers.filter((_, i) => met[i] === null);
    expect(winners).toHaveLength(1);
    expect(await readFile(join(directory, LOCK), 'utf8')).toBe(winners[0]);
    const left = (await readdir(directory)).filter((name) => name !== LOCK && name !== after(DEAD));
    expect(left).toEqual([]);
  }
});

test('who finds a dead lock leaves it to another that took it over in the meantime', async () => {
  const directory = await newDirectory();
  const path = join(directory, LOCK);
  await writeFile(path, DEAD);
  const other = '100\nthe other\n';
  const alive = (holder: string) => {
    if (holder === DEAD) writeFileSync(path, other); // right after it was read
    return holder === other;
  };
  expect(await claim(path, '101\nthe late one\n', alive)).toBe(other);
  expect(await readFile(path, 'utf8')).toBe(other);
  expect(await readdir(directory)).toEqual([LOCK]);
});

test('a directory is locked once in a process, too, and again when it was given free', async () => {
  const directory = await newDirectory();
  const unlock = await lockDataDir(directory);
  await expect(lockDataDir(directory)).rejects.toThrow(`in use by process ${process.pid}`);
  await unlock();
  expect(await readdir(directory)).toEqual([]);
  await (await lockDataDir(directory))();
});

test('a lock with this process’s number that is not its own is of one that was killed', async () => {
  const directory = await newDirectory();
  await writeFile(join(directory, LOCK), `${process.pid}\n`);
  await (await lockDataDir(directory))();
});
