import { describe, expect, it } from 'vitest';
import type { LoraConfig } from '../lora/layout.ts';
import { LORA_TARGETS } from '../lora/layout.ts';
import { DEFAULT_BINDING_BYTES, planMemory } from './plan.ts';
import { attentionRows } from './plan-capacity.ts';
import { choosePlan, PlanError } from './plan-choice.ts';
import { trainingFlops } from './plan-flops.ts';
import { MODEL_PRESETS } from './plan-presets.ts';
import { assignSlots } from './plan-slots.ts';
import { type Keep, type Stage, tensorTable } from './plan-tensors.ts';

const GIB = 2 ** 30;
const LLAMA = MODEL_PRESETS['llama-2-7b'];
const LORA: LoraConfig = { rank: 32, alpha: 64, dropout: 0, targets: ['q_proj', 'v_proj'] };
const REQUEST = { dtype: 'int8', precision: 'f16', attention: 'materialised', batch: 4, seq: 512 } as const;

describe('memory of Llama-2-7B, rank 32 on q and v, 4 × 512 tokens', () => {
  it('stays within 14 GiB with saves in halves, within 8.5 GiB when layers are computed again', () => {
    const a = planMemory(LLAMA, LORA, { ...REQUEST, plan: 'a' });
    const b = planMemory(LLAMA, LORA, { ...REQUEST, plan: 'b' });
    expect(a.total).toBeLessThan(14 * GIB);
    expect(b.total).toBeLessThan(8.5 * GIB);
    expect(planMemory(LLAMA, LORA, { ...REQUEST, plan: 'b', precision: 'dp4a' }).total).toBeLessThan(8.5 * GIB);
    // By hand: int8 matrices with a scale a row, xIn in f32 and seven tensors in halves a layer, four adapter vectors.
    const rows = 32 * (5 * 4096 + 2 * 11008) + 2 * 32000; // of all matrices
    const weights = 32 * (4 * 4096 ** 2 + 3 * 4096 * 11008) + 2 * 32000 * 4096 + 4 * (rows + 65 * 4096 + 64);
    expect(a.weights).toBe(weights);
    expect(a.saves).toBe(32 * 2048 * (4 * 4096 + 2 * (4 * 4096 + 2 * 11008) + 4 * 2 * 32) + 32 * 4); // and no lse
    expect(b.saves).toBe(32 * 2048 * 4 * 4096);
    expect(a.optimizer / (4 * 4 * 32 * 4 * 32 * 4096)).toBeCloseTo(1, 3);
    for (const { weights: w, optimizer, saves, scratch, readBack, total } of [a, b]) {
      expect(w + optimizer + saves + scratch + readBack).toBe(total);
    }
  });

  it.each(['f32', 'f16', 'dp4a'] as const)('fits the bindings that every WebGPU device offers (%s)', (precision) => {
    for (const plan of ['a', 'b'] as const) {
      for (const seq of [128, 512, 1024]) {
        const batch = 2048 / seq;
        const { largestBuffer } = planMemory(LLAMA, LORA, { ...REQUEST, precision, plan, batch, seq });
        expect(largestBuffer.bytes, largestBuffer.name).toBeLessThanOrEqual(DEFAULT_BINDING_BYTES);
      }
      const flash = planMemory(LLAMA, LORA, { ...REQUEST, precision, plan, attention: 'flash', batch: 1, seq: 2048 });
      expect(flash.largestBuffer.bytes).toBeLessThanOrEqual(DEFAULT_BINDING_BYTES);
    }
    const oneLayer = { ...LLAMA, layers: 1 };
    expect(planMemory(oneLayer, LORA, { ...REQUEST, precision, plan: 'a' }).total).toBeLessThan(1.7 * GIB);
  });

  it('counts the arithmetic of a token', () => {
    const a = trainingFlops(LLAMA, LORA, { seq: 512, plan: 'a' });
    const b = trainingFlops(LLAMA, LORA, { seq: 512, plan: 'b' });
    expect(a.total / 27.0e9).toBeCloseTo(1, 2);
    const all = 32 * (4 * 4096 ** 2 + 3 * 4096 * 11008);
    expect(a.forward).toBe(2 * all + 32 * (2 * 4 * 32 * 4096 + 2 * 512 * 4096) + 2 * 32000 * 4096);
    expect(b.forward).toBe(a.forward);
    expect(b.recompute).toBeGreaterThan(0.7 * a.forward);
    expect(b.total - b.recompute).toBe(a.total);
  });
});

it('makes attention matrices for whole rows, of which pieces start at multiples of 64 tokens', () => {
  const rows = (heads: number, batch: number, seq: number, mebibytes: number) =>
    attentionRows({ ...LLAMA, heads }, { batch, seq }, mebibytes * 2 ** 20);
  expect(rows(32, 4, 512, 128)).toBe(4);
  expect(rows(32, 5, 512, 128)).toBe(4);
  expect(rows(32, 5, 512, 4096)).toBe(4); // more than 128 MiB at a time gain nothing
  expect(rows(32, 10, 96, 8)).toBe(6); // seven would fit
  expect(rows(32, 2, 2048, 128)).toBe(1); // and does not fit: the planner refuses it
});

describe('the table of activations', () => {
  const keeps: readonly Keep[] = ['everything', 'halves', 'inputs', 'nothing'];
  it.each(keeps)('lets no two tensors that live at the same time share a buffer (%s)', (keep) => {
    const config = { ...LLAMA, layers: 3 };
    const lora = { ...LORA, targets: LORA_TARGETS };
    for (const flash of [true, false]) {
      const table = tensorTable(config, lora, { keep, precision: 'dp4a', flash });
      const counts = { token: 96, label: 112, logit: 64, score: 96 * 32 * 24, flashToken: flash ? 96 : 0, one: 1 };
      const { sizes, places } = assignSlots(table.single, counts);
      const users = sizes.map(() => new Map<Stage, string>());
      for (const { name, live } of table.single) {
        const place = places.get(name);
        expect(place?.elements).toBeLessThanOrEqual(sizes[place?.slot ?? -1] ?? -1);
        for (const stage of live) {
          const taken = users[place?.slot ?? -1];
          expect(taken?.get(stage), `${name} in ${stage}`).toBeUndefined();
          taken?.set(stage, name);
        }
      }
      const separate = table.single.reduce((sum, { width, per }) => sum + width * counts[per], 0);
      expect(sizes.reduce((a, b) => a + b, 0)).toBeLessThan(0.8 * separate);
    }
  });
});

describe('the choice of a plan', () => {
  const request = { dtype: 'int8', precision: 'f16', attention: 'materialised', seq: 512 } as const;
  const chosen = (budgetGib: number) => choosePlan(LLAMA, LORA, { ...request, budgetBytes: budgetGib * GIB });

  it('takes the fastest that fits', () => {
    expect(choosePlan(LLAMA, LORA, request)).toMatchObject({ plan: 'a', batch: 4, seq: 512 });
    expect(chosen(14)).toMatchObject({ plan: 'a', batch: 4 });
    expect(chosen(12)).toMatchObject({ plan: 'a', batch: 3 });
    expect(chosen(8.5)).toMatchObject({ plan: 'a', batch: 1 });
    expect(chosen(8)).toMatchObject({ plan: 'b', batch: 3 });
    expect(chosen(7.2)).toMatchObject({ plan: 'b', batch: 1 });
    for (const budget of [14, 12, 10, 8.5, 8, 7.2]) expect(chosen(budget).total).toBeLessThanOrEqual(budget * GIB);
    expect(choosePlan(LLAMA, LORA, { ...request, plan: 'b' })).toMatchObject({ plan: 'b', batch: 4 });
  });

  it('never parts the responses of a pair, and holds what the algorithm adds', () => {
    const long = { ...request, attention: 'flash', seq: 1024, microBatchTokens: 1024, plan: 'b' } as const;
    expect(choosePlan(LLAMA, LORA, long)).toMatchObject({ batch: 1 });
    const plain = choosePlan(LLAMA, LORA, { ...long, task: 'dpo' });
    expect(plain).toMatchObject({ batch: 2 });
    const corrected = choosePlan(LLAMA, LORA, { ...long, task: 'dpo', proximal: true, drift: true });
    expect(corrected.total - plain.total).toBe(2 * 4 * 16_777_216);
    const budgetBytes = plain.total;
    expect(choosePlan(LLAMA, LORA, { ...long, task: 'dpo', budgetBytes })).toMatchObject({ batch: 2 });
    const tight = { ...long, task: 'dpo', drift: true, budgetBytes } as const;
    expect(() => choosePlan(LLAMA, LORA, tight)).toThrow(/2 × 1024 tokens.*or rows of 512 tokens/);
  });

  it.each([8, 16, 128])('takes all seven targets at rank %i on an adapter with WebGPU’s default limits', (rank) => {
    const lora = { rank, alpha: rank, dropout: 0, targets: LORA_TARGETS };
    const { largestBuffer, optimizer } = choosePlan(LLAMA, lora, request);
    expect(largestBuffer.bytes).toBeLessThanOrEqual(DEFAULT_BINDING_BYTES);
    // q, k, v, o: 2 · 4096 inputs and outputs; gate, up, down: 4096 + 11008.
    expect(optimizer / (4 * 4 * 32 * rank * (4 * 8192 + 3 * 15104))).toBeCloseTo(1, 3);
  });

  it('says what would fit when nothing does', () => {
    expect(() => chosen(6.9)).toThrow(PlanError);
    expect(() => chosen(6.9)).toThrow(
      /1 × 512 tokens with plan B takes 6\.\d\d GiB of GPU memory, the budget is 6\.90 GiB: a budget of .* or rows of \d+ tokens/,
    );
    expect(() => chosen(4)).toThrow(/weights and optimiser alone take 6\.5/);
    const long = { ...request, seq: 2048 };
    expect(() => choosePlan(LLAMA, LORA, long)).toThrow(/512\.0 MiB in one buffer for probs.*binds at most 128\.0 MiB/);
    expect(choosePlan(LLAMA, LORA, { ...long, attention: 'flash' })).toMatchObject({ batch: 1 });
  });
});
