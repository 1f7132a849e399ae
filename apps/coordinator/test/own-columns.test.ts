import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openModelDirectory } from '@cotune/kernels';
import { directorySource } from '@cotune/kernels/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { columnMap } from '../src/cli/column-map.ts';
import { loadTrainingData } from '../src/cli/data.ts';
import { inspectData } from '../src/cli/inspect-data.ts';
import { requireDataSource } from '../src/data-source/open.ts';
import { countRows } from '../src/evaluator/row-counts.ts';
import { type ModelText, openModelText } from '../src/participant/model-text.ts';
import { writeTinyModel } from './tiny-model.ts';

let root = '';
let text: ModelText;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'cotune-columns-'));
  await writeTinyModel(join(root, 'model'));
  text = await openModelText(await openModelDirectory(directorySource(join(root, 'model'))));
});
afterAll(() => rm(root, { recursive: true, force: true }));

async function file(name: string, content: string): Promise<string> {
  const path = join(root, name);
  await writeFile(path, content);
  return path;
}

const odd = () => file('odd.csv', 'Was, bitte?,x=y,Datum\nred? ,r,1\nblue? ,b,2\n');
const config = (task: 'sft' | 'dpo') => ({ task, dpo: { beta: 0.1 }, template: 'plain', maxSeqLength: 128 }) as const;
const load = (task: 'sft' | 'dpo', from: string, map?: string) =>
  loadTrainingData({ sources: [from], mapping: map === undefined ? undefined : columnMap(map) }, config(task), text);

describe('--map', () => {
  it('reads columns by any names, commas and equal signs in them too', () => {
    expect(columnMap('prompt=Was, bitte?,response=x=y')).toEqual({ prompt: 'Was, bitte?', response: 'x=y' });
    expect(columnMap('rejected=c, chosen=b , prompt=a')).toEqual({ prompt: 'a', chosen: 'b', rejected: 'c' });
    for (const wrong of ['', 'prompt=a', 'prompt=a,response=', 'prompt=a,response=b,chosen=c', 'answer=a,prompt=b']) {
      expect(() => columnMap(wrong), wrong).toThrow(/expected prompt=COLUMN,response=COLUMN or prompt=/);
    }
  });

  it('reads pairs of a file whose own names say nothing', async () => {
    const path = await file(
      'pairs.jsonl',
      '{"q": "red? ", "good": "r", "bad": "x"}\n{"q": "blue? ", "good": "b", "bad": "y"}\n',
    );
    await expect(load('dpo', path)).rejects.toThrow(/no usable preference pair/);
    const map = 'prompt=q,chosen=good,rejected=bad';
    expect(await load('dpo', path, map)).toMatchObject({ task: 'dpo', pairs: [{}, {}] });
    await expect(load('sft', path, map)).rejects.toThrow(/supervised fine-tuning expects prompt and response/);
    await expect(load('dpo', path, 'prompt=q,chosen=good,rejected=worse')).rejects.toThrow(/no column worse/);
    const report = await inspectData(path, { template: 'plain', seq: 40, map: columnMap(map) });
    expect(report).toMatchObject({ task: 'dpo', rows: 2, rejected: 0 });
  });

  it('names the columns of a held-out file too', async () => {
    const path = await file('held.jsonl', '{"q": "red? ", "a": "r"}\n');
    expect(await countRows({ file: path })).toEqual({ sft: 0, dpo: 0 });
    expect(await countRows({ file: path, mapping: columnMap('prompt=q,response=a') })).toEqual({ sft: 1, dpo: 0 });
  });
});

describe('--data', () => {
  it('takes what ships with the product by name, and says so of a preset or a file that does not exist', async () => {
    expect(await load('sft', 'demo-test')).toMatchObject({ task: 'sft' });
    await expect(load('sft', 'preset:gsm9k')).rejects.toThrow(/no preset "gsm9k": expected one of alpaca, .*gsm8k/);
    await expect(requireDataSource('preset:gsm9k', root)).rejects.toThrow(/no preset "gsm9k"/);
    await expect(requireDataSource('none.csv', root)).rejects.toThrow(/no such data file: .*none\.csv/);
    await requireDataSource('preset:gsm8k', root);
    await requireDataSource(await odd(), root);
  });
});
