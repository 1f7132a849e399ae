import { describe, expect, it, vi } from 'vitest';
import { loadModel } from '../../src/llama/weights.ts';
import { segmentsOf } from '../../src/lora/flat-vector.ts';
import { adapterLayout, type LoraConfig } from '../../src/lora/layout.ts';
import { uniform } from '../../src/lora/uniform.ts';
import type { TokenizedExample } from '../../src/train/batch.ts';
import type { CheckpointStore } from '../../src/train/checkpoint.ts';
import { hostOf } from '../../src/train/host.ts';
import { trainResumably } from '../../src/train/resumable.ts';
import { createTrainer, type Trainer } from '../../src/train/trainer.ts';
import { testGpu } from '../gpu.ts';
import { floatsOf, goldenFile, goldenSource } from './golden-model.ts';

interface GoldenCase {
  readonly name: 'untied' | 'tied' | 'int8';
  readonly config: unknown;
  readonly lora: LoraConfig;
  readonly adapter: string;
  readonly batch: readonly TokenizedExample[];
  readonly training: {
    readonly clipNorm: number;
    readonly weightDecay: number;
    readonly steps: readonly { readonly learningRate: number }[];
  };
}
const { cases } = goldenFile('tiny.json') as { readonly cases: readonly GoldenCase[] };

vi.setConfig({ testTimeout: 240_000 }); // the first test of a model compiles its kernels

/** A buffer for each tensor or two, for a few, and for all. */
const BUFFER_BYTES = [800, 3000, undefined];

/** The same with each of BUFFER_BYTES on one model; the last is the vector in one piece. */
async function withCuts<Result>(golden: GoldenCase, run: (trainer: Trainer) => Promise<Result>): Promise<Result[]> {
  const gpu = await testGpu();
  const model = await loadModel(gpu, goldenSource(golden.name, golden.config));
  const results: Result[] = [];
  for (const adapterBufferBytes of BUFFER_BYTES) {
    const created = vi.spyOn(gpu.device, 'createBuffer');
    const trainer = await createTrainer(model, golden.lora, adapterBufferBytes ? { adapterBufferBytes } : {});
    const moments = created.mock.calls.filter(([{ label }]) => label === 'AdamW m').map(([{ size }]) => size);
    created.mockRestore();
    expect(moments.length).toBe(segmentsOf(trainer.layout, adapterBufferBytes ?? 1e9).length);
    if (adapterBufferBytes) expect(Math.max(...moments)).toBeLessThanOrEqual(adapterBufferBytes);
    trainer.setAdapter(floatsOf(golden.adapter));
    results.push(await run(trainer));
    trainer.destroy();
  }
  model.destroy();
  return results;
}

/** Every result has the bits of the last. */
function expectSameBits(results: readonly unknown[]): void {
  for (const result of results) expect(result).toEqual(results.at(-1));
}

it('cuts the golden adapters into many pieces and into few', () => {
  for (const { name, config, lora } of cases) {
    const layout = adapterLayout(goldenSource(name, config).config, lora);
    const pieces = BUFFER_BYTES.map((bytes) => segmentsOf(layout, bytes ?? 1e9).length);
    expect(pieces[0]).toBeGreaterThan(8);
    expect(pieces[1]).toBeGreaterThanOrEqual(3);
    expect(pieces[2]).toBe(1);
  }
});

describe.each(cases)('the $name Llama with its adapter cut into pieces', (golden) => {
  const { batch, training } = golden;
  const { clipNorm, weightDecay, steps } = training;
  const start = floatsOf(golden.adapter);
  const near = (seed: number, scale: number) => start.map((w, i) => w + scale * (uniform(seed, i) - 0.5));

  it('has the gradients and the five AdamW steps of the whole one, to the bit', async () => {
    expectSameBits(
      await withCuts(golden, async (trainer) => {
        const gradient = await trainer.gradients(batch);
        const reported = [];
        for (const { learningRate } of steps)
          reported.push(await trainer.step(batch, { learningRate, clipNorm, weightDecay }));
        return { gradient, reported, after: await trainer.snapshot(), adapter: await trainer.adapter() };
      }),
    );
  });

  it.each([
    ['FedProx', { mu: 0.3 }, false],
    ['a drift of the gradient', { driftTarget: 'gradient' }, true],
    ['both', { mu: 0.3, driftTarget: 'gradient' }, true],
    ['SCAFFOLD’s drift of the weights', { driftTarget: 'weights' }, true],
    ['a drift of the weights and μ', { mu: 0.3, driftTarget: 'weights' }, true],
  ] as const)('has the bits of %s', async (_, rule, drifts) => {
    const results = await withCuts(golden, async (trainer) => {
      trainer.setReference(near(7, 0.1));
      const plain = await trainer.step(batch, { learningRate: 0.01, clipNorm });
      trainer.setDrift(drifts ? near(8, 0.01) : null);
      const reported = [plain];
      for (const { learningRate } of steps)
        reported.push(await trainer.step(batch, { learningRate, clipNorm, ...rule }));
      return { reported, after: await trainer.snapshot() };
    });
    expectSameBits(results);
  });

  it('has the bits of DPO', async () => {
    const [chosen, rejected] = batch as [TokenizedExample, TokenizedExample];
    const results = await withCuts(golden, async (trainer) => {
      const gradient = await trainer.pairGradients([{ chosen, rejected }], { beta: 0.1 });
      const reported = await trainer.stepPairs([{ chosen, rejected }], { learningRate: 0.01, clipNorm, beta: 0.1 });
      return { gradient, reported, after: await trainer.snapshot() };
    });
    expectSameBits(results);
  });

  it('goes on from the checkpoint of a trainer that is cut elsewhere', async () => {
    let stored: Uint8Array<ArrayBuffer> | undefined;
    const store: CheckpointStore = {
      get: async () => stored,
      async set(bytes) {
        stored = bytes;
      },
      async delete() {
        stored = undefined;
      },
    };
    const course = { weights: start, drift: near(8, 0.01), order: [0, 1, 2, 1, 0], mu: 0.1, batchSize: 2 };
    const options = { ...course, steps: 6, learningRate: 0.01, clipNorm };
    const whole = (await withCuts(golden, (trainer) => trainResumably(hostOf(trainer), batch, options))).at(-1);
    const taken: number[] = [];
    // Each cut takes two steps and stops; the next takes up what it left.
    const results = await withCuts(golden, (trainer) => {
      const stop = new AbortController();
      let own = 0;
      const onStep = ({ step }: { readonly step: number }) => {
        if (step < (taken.at(-1) ?? -1) + 1) return; // told again
        taken.push(step);
        if (++own === 2) stop.abort();
      };
      return trainResumably(hostOf(trainer), batch, { ...options, store, onStep, signal: stop.signal });
    });
    expect(taken).toEqual([0, 1, 2, 3, 4, 5]);
    expect(results.at(-1)).toEqual(whole);
  });
});
