import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { UserError } from './output.ts';
import { jsonLog, requireWritable, writeWhole } from './write-files.ts';

let temp = '';
beforeAll(() => {
  temp = mkdtempSync(join(tmpdir(), 'cotune-write-'));
});
afterAll(() => rmSync(temp, { recursive: true, force: true }));

it('makes a directory with its parents, and leaves nothing else in it', async () => {
  const directory = join(temp, 'a', 'b');
  await requireWritable(directory);
  await requireWritable(directory);
  expect(readdirSync(directory)).toEqual([]);
});

it('says why a directory cannot be', async () => {
  const file = join(temp, 'file');
  writeFileSync(file, '');
  await expect(requireWritable(file)).rejects.toThrow(`${file} is not a directory`);
  await expect(requireWritable(join(file, 'below'))).rejects.toThrow(`cannot write to ${join(file, 'below')}: `);
  // A parent that is there, and in which nothing can be made.
  if (process.platform === 'linux') {
    await expect(requireWritable('/proc/cotune/below')).rejects.toThrow('cannot write to /proc/cotune/below: ');
  }
});

it('replaces a file whole, or leaves what was there and nothing beside it', async () => {
  const directory = join(temp, 'whole');
  const path = join(directory, 'adapter.bin');
  mkdirSync(directory);
  await writeWhole(path, 'first');
  await writeWhole(path, new Uint8Array([104, 105]));
  expect(readFileSync(path, 'utf8')).toBe('hi');
  const failing = writeWhole(path, 5 as unknown as string); // nothing that can be written
  await expect(failing).rejects.toThrow(`cannot write ${path}: `);
  await expect(failing).rejects.toBeInstanceOf(UserError);
  expect(readFileSync(path, 'utf8')).toBe('hi');
  expect(readdirSync(directory)).toEqual(['adapter.bin']);
});

it('begins a log anew with the first record, or appends to it', () => {
  const path = join(temp, 'log.jsonl');
  writeFileSync(path, '{"old":1}\n');
  jsonLog(path).close();
  expect(readFileSync(path, 'utf8')).toBe('{"old":1}\n'); // nothing to say, nothing lost
  const log = jsonLog(path);
  log.write({ step: 1 });
  log.write({ step: 2 });
  log.close();
  expect(readFileSync(path, 'utf8')).toBe('{"step":1}\n{"step":2}\n');
  const more = jsonLog(path, { append: true });
  more.write({ step: 3 });
  more.close();
  expect(readFileSync(path, 'utf8')).toBe('{"step":1}\n{"step":2}\n{"step":3}\n');
});

it('names the log that cannot be written', () => {
  const missing = join(temp, 'missing', 'log.jsonl');
  expect(() => jsonLog(missing)).toThrow(`cannot write the log ${missing}: `);
  if (process.platform !== 'linux') return;
  const full = jsonLog('/dev/full');
  expect(() => full.write({})).toThrow('cannot write the log /dev/full: ENOSPC');
  full.close();
});
