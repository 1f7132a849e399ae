import { readFileSync } from 'node:fs';
import { parseDataset, tokenizeRows } from '@cotune/fl-core';
import { openModelDirectory, verifyModelDirectory } from '@cotune/kernels';
import { directorySource } from '@cotune/kernels/node';
import { describe, expect, it } from 'vitest';
import { assets, DEMO_PARTICIPANTS } from '../src/demo/assets.ts';
import { demoRunConfig } from '../src/demo/run-config.ts';
import { openModelText } from '../src/participant/model-text.ts';

const rowsOf = async (file: string) => (await parseDataset(readFileSync(file), { fileName: 'demo.jsonl' })).rows;
const shards = await Promise.all(Array.from({ length: DEMO_PARTICIPANTS }, (_, i) => rowsOf(assets.demoShard(i + 1))));
const test = await rowsOf(assets.demoTest());
const labels = (rows: readonly { response: string }[]) => [...new Set(rows.map((row) => row.response))].sort();

describe('demo data', () => {
  it('gives each participant 200 rows that lack one label, another one each', () => {
    const all = labels(test);
    expect(all).toEqual(['negative', 'neutral', 'positive']);
    const missing = shards.map((rows) => {
      expect(rows).toHaveLength(200);
      return all.filter((label) => !labels(rows).includes(label));
    });
    expect(missing.flat().sort()).toEqual(all);
    for (const one of missing) expect(one).toHaveLength(1);
  });

  it('tests on 300 balanced sentences that nobody trains on', () => {
    expect(test).toHaveLength(300);
    for (const label of labels(test)) expect(test.filter((row) => row.response === label)).toHaveLength(100);
    const trained = new Set(shards.flat().map((row) => row.prompt));
    expect(trained.size).toBe(600);
    expect(test.filter((row) => trained.has(row.prompt))).toEqual([]);
  });

  it('fits the demo run’s sequence length, with every label one token of the shipped tokenizer', async () => {
    const source = await openModelDirectory(directorySource(assets.demoModel()));
    await verifyModelDirectory(directorySource(assets.demoModel()));
    const { tokenizer, opened } = await openModelText(source);
    const config = await opened(demoRunConfig({ seed: 1 }));
    for (const rows of [...shards, test]) {
      const { examples, rejected, truncatedRows } = tokenizeRows(rows, { ...config, tokenizer });
      expect({ examples: examples.length, rejected, truncatedRows }).toEqual({
        examples: rows.length,
        rejected: [],
        truncatedRows: 0,
      });
      for (const { labels: ids } of examples) expect(ids.filter((id) => id !== -100)).toHaveLength(2);
    }
  });
});
