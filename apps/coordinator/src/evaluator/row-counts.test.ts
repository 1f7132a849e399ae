import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createHeldOutCatalog } from './held-out.ts';
import { type CountedFile, countRows, rememberedCounts } from './row-counts.ts';

let root = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'cotune-row-counts-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

const rows = (...prompts: readonly string[]) =>
  prompts.map((prompt) => JSON.stringify({ prompt, response: 'so' })).join('\n');
const pair = JSON.stringify({ prompt: 'a', chosen: 'b', rejected: 'c' });

async function file(name: string, content: string): Promise<string> {
  const path = join(root, name);
  await writeFile(path, content);
  return path;
}

/** Counts, and how often files were read for it. */
function counting() {
  let reads = 0;
  const count = (held: CountedFile) => {
    reads += 1;
    return countRows(held);
  };
  return { counts: rememberedCounts(count), reads: () => reads };
}

describe('counts of held-out rows', () => {
  it('are of the task that the rows are for', async () => {
    expect(await countRows({ file: await file('rows.jsonl', rows('a', 'b')) })).toEqual({ sft: 2, dpo: 0 });
    expect(await countRows({ file: await file('pairs.jsonl', pair) })).toEqual({ sft: 0, dpo: 1 });
    expect(await countRows({ file: await file('none.zip', 'PK\u0003\u0004') })).toEqual({ sft: 0, dpo: 0 });
  });

  it('read a file once while it is the same, however many ask at once', async () => {
    const held = { file: await file('same.jsonl', rows('a', 'b')) };
    const { counts, reads } = counting();
    expect(await Promise.all([counts(held), counts(held)])).toEqual(Array(2).fill({ sft: 2, dpo: 0 }));
    expect(await counts(held)).toEqual({ sft: 2, dpo: 0 });
    expect(reads()).toBe(1);
  });

  it('are taken anew of a file that was edited, to another size or at another time', async () => {
    const held = { file: await file('edited.jsonl', rows('a', 'b')) };
    const { counts, reads } = counting();
    const then = new Date('2026-01-01T00:00:00Z');
    await utimes(held.file, then, then);
    expect(await counts(held)).toEqual({ sft: 2, dpo: 0 });
    await file('edited.jsonl', rows('a', 'b', 'c'));
    await utimes(held.file, then, then); // as a copy that keeps times does
    expect(await counts(held)).toEqual({ sft: 3, dpo: 0 });
    await file('edited.jsonl', rows('a', 'a', 'c')); // as long; two rows are the same
    await utimes(held.file, then, new Date(then.getTime() + 1));
    expect(await counts(held)).toEqual({ sft: 2, dpo: 0 });
    expect(reads()).toBe(3);
  });

  it('differ by the columns that were chosen', async () => {
    const held = { file: await file('odd.jsonl', '{"q": "red? ", "a": "r"}') };
    const { counts } = counting();
    expect(await counts(held)).toEqual({ sft: 0, dpo: 0 });
    expect(await counts({ ...held, mapping: { prompt: 'q', response: 'a' } })).toEqual({ sft: 1, dpo: 0 });
  });

  it('are not remembered of a file that could not be read', async () => {
    const held = { file: await file('late.jsonl', rows('a')) };
    let broken = true;
    const counts = rememberedCounts(async (given) => {
      if (broken) throw new Error('read failed');
      return countRows(given);
    });
    await expect(counts(held)).rejects.toThrow('read failed');
    broken = false;
    expect(await counts(held)).toEqual({ sft: 1, dpo: 0 });
    await rm(held.file);
    await expect(counts(held)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('the catalogue of held-out data', () => {
  it('says what an edited file has now', async () => {
    const path = await file('held.jsonl', rows('a', 'b'));
    const catalog = createHeldOutCatalog([{ id: 'held', title: 'Held', file: path }]);
    expect(await catalog.list()).toEqual([{ id: 'held', title: 'Held', rows: 2 }]);
    await catalog.requireRows('held', 'sft');
    await expect(catalog.requireRows('held', 'dpo')).rejects.toThrow(/but it has 2 rows of prompts/);
    await file('held.jsonl', pair);
    expect(await catalog.list()).toEqual([{ id: 'held', title: 'Held', rows: 1 }]);
    await catalog.requireRows('held', 'dpo');
    await expect(catalog.requireRows('held', 'sft')).rejects.toMatchObject({ code: 'invalid' });
  });
});
