import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DataRow, loadTokenizer, runConfig, type TaskRows } from '@cotune/fl-core';
import {
  createTrainer,
  type Gpu,
  initAdapter,
  loadModel,
  type Model,
  openModelDirectory,
  type Trainer,
} from '@cotune/kernels';
import { directorySource, openNodeGpu } from '@cotune/kernels/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeTinyModel } from '../../test/tiny-model.ts';
import { classNames } from './class-set.ts';
import { heldOutSet, measure } from './measure.ts';

const LORA = { rank: 2, alpha: 4, dropout: 0, targets: ['q_proj', 'v_proj', 'down_proj'] } as const;
const config = {
  ...runConfig.parse({
    name: 'test',
    modelId: 'tiny',
    algorithm: { id: 'fedavg' },
    maxSeqLength: 40,
    lora: { ...LORA, targets: [...LORA.targets] },
    participants: {},
  }),
  template: 'plain' as const,
};

let root = '';
let gpu: Gpu;
let model: Model;
let trainer: Trainer;
let tokenizer: ReturnType<typeof loadTokenizer>;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'cotune-measure-'));
  await writeTinyModel(root);
  const source = await openModelDirectory(directorySource(root));
  tokenizer = loadTokenizer(await source.tokenizerJson(), source.config);
  gpu = await openNodeGpu({ allowSoftware: true });
  model = await loadModel(gpu, source);
  trainer = await createTrainer(model, LORA);
});
afterAll(async () => {
  trainer.destroy();
  model.destroy();
  gpu.destroy();
  await rm(root, { recursive: true, force: true });
});

/** A random adapter that is far from the base model, so that predictions are no constant. */
const randomAdapter = (seed: number, scale = 1) =>
  Float32Array.from({ length: trainer.layout.length }, (_, i) => scale * Math.sin(seed * 7.7 + i * 12.9898));

const row = (prompt: string, response: string, line = 1): DataRow => ({ prompt, response, line });
const sft = (rows: readonly DataRow[]): TaskRows => ({ task: 'sft', rows });
const responses = (...all: string[]) => all.map((response) => ({ response }));

describe('classes of held-out rows', () => {
  it('are 2 to 20 distinct responses, one line of at most 40 characters, each of two rows', () => {
    expect(classNames(responses('no', 'yes', 'yes', 'no', 'maybe', 'maybe'))).toEqual(['maybe', 'no', 'yes']);
    expect(classNames(responses('yes', 'yes', 'no'))).toBeUndefined(); // one row says no
    expect(classNames(responses('yes', 'yes'))).toBeUndefined(); // nothing to tell apart
    expect(classNames(responses('a', 'a', 'b\nc', 'b\nc'))).toBeUndefined();
    expect(classNames(responses('a', 'a', 'x'.repeat(40), 'x'.repeat(40)))).toHaveLength(2);
    expect(classNames(responses('a', 'a', 'x'.repeat(41), 'x'.repeat(41)))).toBeUndefined();
    const many = (count: number) => Array.from({ length: 2 * count }, (_, i) => `class ${i % count}`);
    expect(classNames(responses(...many(20)))).toHaveLength(20);
    expect(classNames(responses(...many(21)))).toBeUndefined();
  });

  it('leave out rows that do not fit the length with every class, and are none where no row does', () => {
    const long = 'x'.repeat(30);
    const rows = [row('a', 'no'), row('b', 'yes!'), row(long, 'no'), row('c', 'yes!')];
    const set = heldOutSet(sft(rows), { ...config, maxSeqLength: 34 }, tokenizer);
    if (set.task !== 'sft') throw new Error('these are rows');
    expect(set.examples).toHaveLength(4);
    expect(set.classes?.rows.map(({ example }) => example)).toEqual([0, 1, 3]); // BOS, 30, ' yes!', EOS are 37
    const none = heldOutSet(
      sft([row(long, 'no'), row(long, 'no'), row(long, 'yes!'), row(long, 'yes!')]),
      { ...config, maxSeqLength: 34 },
      tokenizer,
    );
    expect(none).toMatchObject({ task: 'sft', classes: undefined });
  });
});

describe('measuring', () => {
  const rowsOf = (names: readonly string[]) =>
    Array.from({ length: 25 }, (_, i) => row(`item ${i * i}:`, names[(i * 3) % 5] ?? '', i + 1));
  const rows = rowsOf(['down', 'dawn', 'done', 'dune', 'dyne']);

  it.each([
    [1, ['down', 'dawn', 'done', 'dune', 'dyne'], 0],
    [2, ['tone', 'code', 'mare', 'lisp', 'pace'], 0],
    [4, ['up', 'upper', 'down', 'dawn', 'x'], 0], // of many lengths, one the beginning of another
    // Once it has learned the words but not yet which, the rest of a word costs little, and most is decided by the probes.
    [3, ['tape', 'tapa', 'tapo', 'tapu', 'tape.'], 20],
    [3, ['tone', 'code', 'mare', 'lisp', 'pace'], 30],
  ] as const)(
    'finds the class of the highest likelihood as scoring all of them does (adapter %i, %j, %i steps)',
    async (seed, given, steps) => {
      const names = [...given].sort();
      const rows = rowsOf(given);
      trainer.setAdapter(steps > 0 ? initAdapter(trainer.layout, seed) : randomAdapter(seed, 0.6));
      trainer.resetOptimizer();
      const set = heldOutSet(sft(rows), config, tokenizer);
      if (set.task !== 'sft') throw new Error('these are rows');
      for (let step = 0; step < steps; step++) await trainer.step(set.examples, { learningRate: 0.05, clipNorm: 1 });
      const metrics = await measure(trainer, set);

      let hits = 0;
      const guesses: string[] = [];
      for (const { prompt, response } of rows) {
        const candidates = names.map((name) => {
          const ids = [1, ...tokenizer.encode(`${prompt} ${name}`, { bos: false }), 2];
          const promptLength = 1 + tokenizer.encode(prompt, { bos: false }).length;
          return { inputIds: ids, labels: ids.map((id, t) => (t < promptLength ? -100 : id)) };
        });
        const losses = [];
        for (const one of candidates) {
          const { lossNats, labelTokens } = await trainer.evaluate([one]);
          losses.push(lossNats * labelTokens);
        }
        const guess = names[losses.indexOf(Math.min(...losses))] ?? '';
        guesses.push(guess);
        if (guess === response) hits += 1;
      }
      expect(metrics.classes).toMatchObject({ count: 5, accuracy: hits / 25, f1Micro: hits / 25 });
      const f1 = names.map((name) => {
        const both = rows.filter(({ response }, i) => response === name && guesses[i] === name).length;
        return (2 * both) / (5 + guesses.filter((guess) => guess === name).length);
      });
      expect(metrics.classes?.f1Macro).toBeCloseTo(f1.reduce((sum, one) => sum + one, 0) / 5, 12);
    },
  );

  it('compares classes after a history whose answers are learnt too', async () => {
    const names = ['tapa', 'tape', 'tapo'];
    const asked = rowsOf(['tapa', 'tape', 'tapo', 'tape', 'tapo']).map((one) => ({
      ...one,
      history: [{ prompt: 'Hm', response: `so ${one.line}` }],
    }));
    trainer.setAdapter(initAdapter(trainer.layout, 3));
    trainer.resetOptimizer();
    const set = heldOutSet(sft(asked), config, tokenizer);
    if (set.task !== 'sft') throw new Error('these are rows');
    for (let step = 0; step < 20; step++) await trainer.step(set.examples, { learningRate: 0.05, clipNorm: 1 });
    const metrics = await measure(trainer, set);
    let hits = 0;
    for (const one of asked) {
      const own = heldOutSet(sft(names.map((response) => ({ ...one, response }))), config, tokenizer);
      if (own.task !== 'sft') throw new Error('these are rows');
      const scores = (await trainer.sequenceScores(own.examples)).map(({ logProb }) => logProb);
      if (names[scores.indexOf(Math.max(...scores))] === one.response) hits += 1;
    }
    expect(metrics.classes).toMatchObject({ count: 3, accuracy: hits / 25 });
  });

  it('gives the loss and exact answers that an evaluation gives', async () => {
    trainer.setAdapter(randomAdapter(2, 0.6));
    const set = heldOutSet(sft(rows), config, tokenizer);
    if (set.task !== 'sft') throw new Error('these are rows');
    const { lossNats, exactMatch, rows: count, labelTokens } = await trainer.evaluate(set.examples);
    const metrics = await measure(trainer, set);
    expect(metrics).toMatchObject({ accuracy: exactMatch, rows: count, labelTokens });
    expect(metrics.lossNats).toBeCloseTo(lossNats, 5);
    const other = await measure(trainer, { ...set, classes: undefined });
    expect(other).toEqual({ lossNats, accuracy: exactMatch, rows: count, labelTokens });
  });

  it('does not score in full what cannot win any more', async () => {
    trainer.setAdapter(initAdapter(trainer.layout, 1));
    trainer.resetOptimizer();
    const two = Array.from({ length: 12 }, (_, i) => row(`${i} ${i % 2 ? '!!!' : '???'}`, i % 2 ? 'on' : 'off', i + 1));
    const set = heldOutSet(sft(two), config, tokenizer);
    if (set.task !== 'sft') throw new Error('these are rows');
    for (let step = 0; step < 30; step++) await trainer.step(set.examples, { learningRate: 0.03 });
    let scored = 0;
    const counting: Trainer = {
      ...trainer,
      sequenceScores(examples, options) {
        scored += examples.length;
        return trainer.sequenceScores(examples, options);
      },
    };
    const { classes, accuracy } = await measure(counting, set);
    expect(classes).toMatchObject({ count: 2, accuracy: 1 });
    expect(accuracy).toBe(1);
    expect(scored).toBe(12); // the right answers alone
  });

  it('measures pairs by their rewards', async () => {
    const pairs: TaskRows = {
      task: 'dpo',
      rows: [
        { turns: ['a?'], chosen: 'yes', rejected: 'no', line: 1 },
        { turns: ['b?'], chosen: 'no', rejected: 'yes, please', line: 2 },
      ],
    };
    trainer.setAdapter(randomAdapter(3, 0.6));
    const set = heldOutSet(pairs, { ...config, dpo: { beta: 0.3 } }, tokenizer);
    if (set.task !== 'dpo') throw new Error('these are pairs');
    const metrics = await measure(trainer, set);
    const expected = await trainer.evaluatePairs(set.pairs, { beta: 0.3 });
    expect(metrics).toEqual({
      lossNats: expected.lossNats,
      accuracy: expected.rewardAccuracy,
      rows: 2,
      labelTokens: ' yes'.length + ' no'.length + ' no'.length + ' yes, please'.length + 4,
      rewards: {
        accuracy: expected.rewardAccuracy,
        margin: expected.rewardMargin,
        chosen: expected.chosenReward,
        rejected: expected.rejectedReward,
      },
    });
    expect(metrics.rewards?.margin).not.toBe(0);
  });

  it('says why nothing is usable', () => {
    const long = sft([row('x'.repeat(50), 'y', 7)]);
    expect(() => heldOutSet(long, config, tokenizer)).toThrow(/no usable row \(line 7 has a prompt of 51 tokens/);
    expect(() => heldOutSet({ task: 'dpo', rows: [] }, config, tokenizer)).toThrow(/no usable row/);
  });
});
