import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ALGORITHM_IDS, parseRows, presetById } from '@cotune/fl-core';
import { expect, it } from 'vitest';
import { cellsOf } from '../src/simulation/cells.ts';
import { clientsOf, type ExperimentConfig, parseExperiment } from '../src/simulation/config.ts';

const ROOT = fileURLToPath(new URL('../../../experiments', import.meta.url));
const FILES = readdirSync(ROOT).filter((name) => name.endsWith('.json'));

function load(name: string): ExperimentConfig {
  const parsed = parseExperiment(JSON.parse(readFileSync(join(ROOT, `${name}.json`), 'utf8')));
  if (!parsed.ok) throw new Error(`${name}: ${parsed.message}`);
  return parsed.config;
}

/** K clients a round of N. */
const drawn = (config: ExperimentConfig) => [config.perRound ?? clientsOf(config), clientsOf(config)];

it.each(FILES.map((name) => name.replace('.json', '')))('%s can be run', (name) => {
  const config = load(name);
  expect(config.name).toBe(name);
  expect(config.description?.length).toBeGreaterThan(20);
  expect(cellsOf(config, null).length).toBeGreaterThanOrEqual(1);
  for (const { from } of config.data.train)
    if (from.startsWith('preset:')) expect(presetById(from.slice('preset:'.length))).toBeDefined();
  if (!name.endsWith('-small')) expect(FILES).toContain(`${name}-small.json`);
});

const PUBLISHED: Record<string, { drawn: number[]; presets: string[] }> = {
  general: { drawn: [2, 20], presets: ['alpaca-gpt4'] },
  finance: { drawn: [5, 50], presets: ['fingpt-sentiment'] },
  medical: { drawn: [2, 20], presets: ['medalpaca-flashcards'] },
  code: { drawn: [2, 10], presets: ['code-alpaca'] },
  math: { drawn: [2, 10], presets: ['math-instruct'] },
  'multi-domain': {
    drawn: [4, 4],
    presets: ['alpaca-gpt4', 'math-instruct', 'code-alpaca', 'fingpt-sentiment'],
  },
  'dpo-helpful': { drawn: [2, 5], presets: ['ultrafeedback'] },
  'dpo-harmless': { drawn: [2, 5], presets: ['hh-rlhf'] },
};

it.each(Object.entries(PUBLISHED))('%s has the published figures', (name, published) => {
  const config = load(name);
  const { run } = config;
  expect(drawn(config)).toEqual(published.drawn);
  expect(config.data.train.map(({ from }) => from)).toEqual(published.presets.map((id) => `preset:${id}`));
  for (const id of published.presets) expect(presetById(id)?.usedBy).toContain(name);
  expect([run.rounds, run.steps, run.batchSize, run.maxSeqLength]).toEqual([200, 10, 16, 512]);
  expect([run.clipNorm, run.weightDecay, run.learningRateSchedule, run.seeding]).toEqual([
    1,
    0,
    'cosine',
    'round-only',
  ]);
  expect(config.partition).toEqual({ kind: 'iid' });
  if (name.startsWith('dpo')) {
    expect([config.model, run.task, run.template]).toEqual(['ehartford/Wizard-Vicuna-7B-Uncensored', 'dpo', 'vicuna']);
    expect([run.learningRate, run.minLearningRate, run.lora.rank, run.lora.alpha]).toEqual([5e-4, 1e-5, 8, 16]);
    expect(run.dpo).toEqual({ beta: 0.1, maxPromptLength: 128 });
  } else {
    expect([config.model, run.task, run.template]).toEqual(['meta-llama/Llama-2-7b-hf', 'sft', 'alpaca']);
    expect([run.learningRate, run.minLearningRate, run.lora.rank, run.lora.alpha]).toEqual([5e-5, 1e-6, 32, 64]);
  }
  expect([run.lora.dropout, run.lora.targets]).toEqual([0.05, ['q_proj', 'v_proj']]);
  expect(config.baselines).toEqual(['local', 'pooled']);
  const moments = { eta: 1e-3, tau: 1e-3, beta1: 0.9, beta2: 0.99, secondMoment: 'momentum', weighting: 'uniform' };
  expect(config.algorithms).toEqual([
    { id: 'fedavg', hyper: { weighting: 'examples' } },
    { id: 'fedprox', hyper: { mu: 0.01, weighting: 'examples' } },
    { id: 'scaffold', hyper: { driftTarget: 'weights', weighting: 'examples' } },
    { id: 'fedavgm', hyper: { beta1: 0.9, momentum: 'average', weighting: 'examples' } },
    { id: 'fedadagrad', hyper: { eta: 1e-3, tau: 1e-3, weighting: 'uniform' } },
    { id: 'fedyogi', hyper: moments },
    { id: 'fedadam', hyper: moments },
  ]);
  expect(config.algorithms).toHaveLength(ALGORITHM_IDS.filter((id) => id !== 'local').length);
});

it.each([
  ['general', [2, 20], 0.1],
  ['finance', [5, 50], 0.1],
  ['medical', [2, 20], 0.1],
  ['code', [2, 10], 0.2],
])('flowertune-%s has the leaderboard’s figures', (name, published, fraction) => {
  const config = load(`flowertune-${name}`);
  const { run } = config;
  expect(drawn(config)).toEqual(published);
  expect((published[0] ?? 0) / (published[1] ?? 1)).toBe(fraction);
  expect([run.rounds, run.steps, run.batchSize, run.maxSeqLength]).toEqual([200, 10, 16, 512]);
  expect([run.learningRate, run.minLearningRate]).toEqual([5e-5, 1e-6]);
  expect(run.lora).toMatchObject({ rank: 32, alpha: 64, dropout: 0.075 });
  expect(config.model).toBe('mistralai/Mistral-7B-v0.3');
  // Whole data sets, where the paper's runs take 20 000 rows.
  const [source] = config.data.train;
  expect(source?.maxRows).toBe(presetById(source?.from.slice('preset:'.length) ?? '')?.rowsExpected);
});

it.each(FILES.filter((name) => name.endsWith('-small.json')))('%s needs no download and no GPU', (name) => {
  const { model, data, seeds } = load(name.replace('.json', ''));
  expect(model).toBe('demo');
  for (const { from } of data.train) {
    if (from !== 'demo') expect(readFileSync(join(ROOT, from)).length).toBeGreaterThan(1000);
  }
  expect(seeds.length).toBeGreaterThanOrEqual(3);
});

it('has small data that its generator writes, to the byte, without rejected rows', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'cotune-experiments-'));
  execFileSync(process.execPath, [join(ROOT, 'data', 'generate.mjs'), directory]);
  const written = readdirSync(directory).sort();
  expect(written).toEqual(
    readdirSync(join(ROOT, 'data'))
      .filter((name) => name.endsWith('.jsonl'))
      .sort(),
  );
  for (const name of written) {
    const bytes = readFileSync(join(directory, name));
    expect(bytes.equals(readFileSync(join(ROOT, 'data', name))), name).toBe(true);
    const task = name.startsWith('h') ? 'dpo' : 'sft';
    const { rows, rejected } = await parseRows(task, bytes, { fileName: name });
    expect(rejected).toEqual([]);
    expect(rows.length).toBeGreaterThanOrEqual(90);
  }
  rmSync(directory, { recursive: true });
});
