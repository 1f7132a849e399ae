import { afterAll, describe, expect, it } from 'vitest';
import { relativeL2 } from '../../test/compare.ts';
import { testGpu } from '../../test/gpu.ts';
import { randomSource, TINY } from '../../test/random-model.ts';
import type { Gpu } from '../gpu/device.ts';
import { attentionRows } from '../llama/plan-capacity.ts';
import { loadModel, type Model } from '../llama/weights.ts';
import { initAdapter } from '../lora/init.ts';
import { LORA_TARGETS, type LoraConfig } from '../lora/layout.ts';
import { uniform } from '../lora/uniform.ts';
import type { TokenizedExample } from './batch.ts';
import { train } from './train.ts';
import { createTrainer, type Trainer, type TrainerOptions } from './trainer.ts';

const ALL: LoraConfig = { rank: 3, alpha: 6, dropout: 0, targets: LORA_TARGETS };
const models = new Map<string, Promise<Model>>();
function tinyModel(dtype: 'int8' | 'f32'): Promise<Model> {
  let model = models.get(dtype);
  if (!model) {
    model = testGpu().then((gpu) => loadModel(gpu, randomSource(TINY, dtype)));
    models.set(dtype, model);
  }
  return model;
}
afterAll(async () => {
  for (const model of models.values()) (await model).destroy();
});

/** Rows of different lengths; the first tokens of each are a prompt without labels. */
function examples(count: number, seed = 7): TokenizedExample[] {
  return Array.from({ length: count }, (_, row) => {
    const length = 4 + ((row * 5) % 9);
    const inputIds = Array.from({ length }, (_, t) => Math.floor(uniform(seed, row * 64 + t) * TINY.vocabSize));
    return { inputIds, labels: inputIds.map((id, t) => (t < 2 + (row % 2) ? -100 : id)) };
  });
}

/** A random adapter whose B is not zero, so that every gradient is alive. */
function livelyAdapter(trainer: Trainer, seed = 3): Float32Array {
  return Float32Array.from({ length: trainer.layout.length }, (_, i) => 0.6 * (uniform(seed, i) - 0.5));
}

/** The same GPU, but as if it bound no more than `bytes` at a time. */
function withBindingLimit(gpu: Gpu, bytes: number): Gpu {
  const limits = { maxBufferSize: bytes, maxStorageBufferBindingSize: bytes };
  const device = new Proxy(gpu.device, {
    get(target, name: keyof GPUDevice) {
      if (name === 'limits') return limits;
      const value: unknown = target[name];
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return { ...gpu, device };
}

describe('trainer', () => {
  it.each(['f32', 'int8'] as const)('has the gradient that central differences of the %s loss give', async (dtype) => {
    const trainer = await createTrainer(await tinyModel(dtype), ALL);
    const batch = examples(4);
    const vector = livelyAdapter(trainer);
    trainer.setAdapter(vector);
    const gradient = await trainer.gradients(batch);
    const lossAt = async (direction: Float32Array, eps: number) => {
      trainer.setAdapter(vector.map((w, i) => w + eps * (direction[i] ?? 0)));
      return (await trainer.evaluate(batch)).lossNats;
    };
    // One random direction inside every LoRA matrix: its derivative is the gradient's inner product with it.
    for (const { name, offset, shape } of trainer.layout.tensors) {
      const size = shape[0] * shape[1];
      const direction = new Float32Array(vector.length);
      for (let i = offset; i < offset + size; i++) direction[i] = 2 * uniform(11, i) - 1;
      const exact = direction.reduce((sum, d, i) => sum + d * (gradient[i] ?? 0), 0);
      const eps = 0.01;
      const numeric = ((await lossAt(direction, eps)) - (await lossAt(direction, -eps))) / (2 * eps);
      expect(Math.abs(numeric - exact), name).toBeLessThan(2e-4 + 0.01 * Math.abs(exact));
      expect(Math.abs(exact), name).toBeGreaterThan(1e-4);
    }
    trainer.destroy();
  });

  it('gives the same gradients and steps in micro-batches as in one batch', async () => {
    const model = await tinyModel('f32');
    const whole = await createTrainer(model, ALL);
    const split = await createTrainer(model, ALL, { maxBatchRows: 2 });
    const batch = examples(5);
    const options = { learningRate: 0.01, clipNorm: 0.5, weightDecay: 0.1 };
    const results = [];
    for (const trainer of [whole, split]) {
      trainer.setAdapter(livelyAdapter(trainer));
      const gradient = await trainer.gradients(batch);
      const steps = [await trainer.step(batch, options), await trainer.step(batch, options)];
      results.push({ gradient, steps, adapter: await trainer.adapter() });
      trainer.destroy();
    }
    const [a, b] = results;
    if (!a || !b) throw new Error('two trainers ran');
    expect(relativeL2(b.gradient, a.gradient)).toBeLessThan(1e-5);
    expect(relativeL2(b.adapter, a.adapter)).toBeLessThan(1e-5);
    for (const [i, step] of a.steps.entries()) {
      expect(step.labelTokens).toBe(
        batch.flatMap(({ labels }) => Array.from(labels).filter((label) => label >= 0)).length,
      );
      expect(step.tokens).toBe(batch.reduce((sum, { inputIds }) => sum + inputIds.length - 1, 0));
      expect(b.steps[i]).toMatchObject({ labelTokens: step.labelTokens, tokens: step.tokens });
      expect(b.steps[i]?.lossNats).toBeCloseTo(step.lossNats, 5);
      expect(b.steps[i]?.gradNorm).toBeCloseTo(step.gradNorm, 5);
    }
    expect(a.steps[0]?.gradNorm).toBeCloseTo(Math.hypot(...a.gradient), 4);
  });

  /** Gradient, two steps and an evaluation of nine examples. */
  async function runOf(options: TrainerOptions, lora: LoraConfig = ALL, dtype: 'f32' | 'int8' = 'int8') {
    const trainer = await createTrainer(await tinyModel(dtype), lora, options);
    const batch = examples(9);
    trainer.setAdapter(livelyAdapter(trainer));
    const gradient = await trainer.gradients(batch);
    const evaluation = await trainer.evaluate(batch);
    const steps = [];
    for (let i = 0; i < 2; i++) steps.push(await trainer.step(batch, { learningRate: 0.01, dropoutSeed: i }));
    const run = { gradient, evaluation, steps, adapter: await trainer.adapter(), bytes: trainer.bytes };
    trainer.destroy();
    return run;
  }

  it.each([
    ['all seven', LORA_TARGETS],
    ['q and v', ['q_proj', 'v_proj']],
    ['o and down', ['o_proj', 'down_proj']],
    ['gate', ['gate_proj']],
  ] as const)('has the same bits whether layers keep their saves or are computed again (%s)', async (_, targets) => {
    const lora = { ...ALL, targets, dropout: 0.3 };
    const [a, b] = [await runOf({ plan: 'a' }, lora), await runOf({ plan: 'b' }, lora)];
    expect({ ...b, bytes: 0 }).toEqual({ ...a, bytes: 0 });
    expect(b.bytes).toBeLessThan(a.bytes);
  });

  it('gives the same loss and gradients packed, unpacked and in packed micro-batches', async () => {
    const unpacked = await runOf({ packing: false });
    for (const options of [{}, { maxBatchRows: 1 }, { maxBatchRows: 2, plan: 'b' }] as const) {
      const packed = await runOf(options);
      expect(relativeL2(packed.gradient, unpacked.gradient)).toBeLessThan(1e-5);
      expect(relativeL2(packed.adapter, unpacked.adapter)).toBeLessThan(1e-5);
      expect(packed.evaluation.lossNats).toBeCloseTo(unpacked.evaluation.lossNats, 5);
      expect(packed.evaluation).toMatchObject({ exactMatch: unpacked.evaluation.exactMatch, rows: 9 });
      packed.steps.forEach((step, i) => {
        expect(step.lossNats).toBeCloseTo(unpacked.steps[i]?.lossNats ?? Number.NaN, 5);
        const { tokens, labelTokens } = unpacked.steps[i] ?? {};
        expect(step).toMatchObject({ tokens, labelTokens });
      });
      expect(await runOf(options)).toEqual(packed);
    }
  });

  it('gives the same loss and gradients with flash attention', async () => {
    const wanted = await runOf({ attention: 'materialised', packing: false });
    for (const options of [{ plan: 'a' }, { plan: 'b', maxBatchRows: 1 }] as const) {
      const flash = await runOf({ ...options, attention: 'flash' });
      expect(relativeL2(flash.gradient, wanted.gradient)).toBeLessThan(1e-5);
      expect(relativeL2(flash.adapter, wanted.adapter)).toBeLessThan(1e-5);
      expect(flash.evaluation.lossNats).toBeCloseTo(wanted.evaluation.lossNats, 5);
    }
    const lora = { ...ALL, targets: ['q_proj', 'v_proj'] } as const;
    const half = await runOf({ attention: 'flash', precision: 'f16' }, lora); // whose output is kept for flash alone
    expect(relativeL2(half.gradient, (await runOf({}, lora)).gradient)).toBeLessThan(2e-3);
  });

  it('makes attention matrices for as many rows at a time as fit a binding', async () => {
    const model = await tinyModel('int8');
    const inputIds = Array.from({ length: 65 }, (_, t) => (5 * t) % TINY.vocabSize);
    const batch = Array.from({ length: 5 }, (_, row) => ({
      inputIds,
      labels: inputIds.map((id, t) => (t % 9 === row ? id : -100)),
    }));
    const small = { ...model, gpu: withBindingLimit(model.gpu, 200_000) }; // two rows of 6 · 64² floats
    const gradients = [];
    for (const own of [small, model]) {
      const trainer = await createTrainer(own, ALL, { attention: 'materialised' });
      trainer.setAdapter(livelyAdapter(trainer));
      gradients.push(await trainer.gradients(batch));
      trainer.destroy();
    }
    expect(relativeL2(gradients[0] ?? [], gradients[1] ?? [1])).toBeLessThan(1e-5);
    expect(attentionRows(TINY, { batch: 5, seq: 64 }, 200_000)).toBe(2);
  });

  it('keeps saves in halves within their rounding', async () => {
    const [wide, half] = [await runOf({}), await runOf({ precision: 'f16' })];
    const again = await runOf({ precision: 'f16', plan: 'b' });
    expect(relativeL2(half.gradient, wide.gradient)).toBeLessThan(2e-3);
    expect(relativeL2(half.gradient, wide.gradient)).toBeGreaterThan(1e-6);
    expect(relativeL2(again.gradient, wide.gradient)).toBeLessThan(2e-3);
    expect(half.evaluation.lossNats).toBeCloseTo(wide.evaluation.lossNats, 2);
    expect(half.bytes).toBeLessThan(wide.bytes);
  });

  it('gives the same gradients with logits in chunks as in one piece', async () => {
    const model = await tinyModel('int8');
    const batch = examples(24); // 135 label rows: three chunks of 64
    const results = [];
    for (const options of [{}, { logitChunkBytes: 64 * TINY.vocabSize * 4 }]) {
      const trainer = await createTrainer(model, ALL, options);
      trainer.setAdapter(livelyAdapter(trainer));
      results.push({ gradient: await trainer.gradients(batch), evaluation: await trainer.evaluate(batch) });
      trainer.destroy();
    }
    const [whole, chunked] = results;
    if (!whole || !chunked) throw new Error('two trainers ran');
    expect(whole.evaluation.labelTokens).toBeGreaterThan(128);
    expect(chunked.evaluation).toEqual(whole.evaluation);
    expect(relativeL2(chunked.gradient, whole.gradient)).toBeLessThan(1e-6);
  });

  it.each(LORA_TARGETS)('trains %s alone to the gradient it has among all seven', async (target) => {
    const model = await tinyModel('f32');
    const all = await createTrainer(model, ALL);
    const one = await createTrainer(model, { ...ALL, targets: [target] });
    const batch = examples(3);
    const vector = livelyAdapter(one);
    // The other six adapters are silent (B = 0) beside the one under test.
    const wide = initAdapter(all.layout, 1);
    for (const tensor of one.layout.tensors) {
      const place = all.layout.tensors.find(({ name }) => name === tensor.name);
      wide.set(vector.subarray(tensor.offset, tensor.offset + tensor.shape[0] * tensor.shape[1]), place?.offset);
    }
    one.setAdapter(vector);
    all.setAdapter(wide);
    const [narrowGradient, wideGradient] = [await one.gradients(batch), await all.gradients(batch)];
    for (const tensor of one.layout.tensors) {
      const place = all.layout.tensors.find(({ name }) => name === tensor.name)?.offset ?? 0;
      const size = tensor.shape[0] * tensor.shape[1];
      const expected = wideGradient.subarray(place, place + size);
      expect(
        relativeL2(narrowGradient.subarray(tensor.offset, tensor.offset + size), expected),
        tensor.name,
      ).toBeLessThan(1e-5);
    }
    one.destroy();
    all.destroy();
  });

  it('overfits one batch, and evaluates it as learned', async () => {
    // Three times the usual weights: a frozen head of unit weights cannot give any token more than two thirds.
    const model = await loadModel(await testGpu(), randomSource(TINY, 'int8', 1, 3));
    const trainer = await createTrainer(model, { ...ALL, rank: 8, alpha: 16 });
    trainer.setAdapter(initAdapter(trainer.layout, 5));
    const batch = examples(4);
    const before = await trainer.evaluate(batch);
    const losses: number[] = [];
    const result = await train(trainer, batch, {
      steps: 100,
      batchSize: 4,
      learningRate: 0.02,
      clipNorm: 1,
      onStep: ({ lossNats }) => losses.push(lossNats),
    });
    const after = await trainer.evaluate(batch);
    expect(losses[0]).toBeCloseTo(before.lossNats, 4);
    expect(result.steps).toBe(100);
    expect(before.exactMatch).toBe(0);
    expect(after).toMatchObject({ exactMatch: 1, rows: 4, labelTokens: before.labelTokens });
    expect(after.lossNats).toBeLessThan(0.05);
    trainer.destroy();
    model.destroy();
  });

  it('counts a row as matched only when every label token is the argmax', async () => {
    const trainer = await createTrainer(await tinyModel('f32'), ALL);
    trainer.setAdapter(livelyAdapter(trainer));
    const prompts = examples(6).map(({ inputIds }) => inputIds);
    // The argmax of the last position, found by asking for every token in turn: exactly one matches.
    const answers: number[] = [];
    for (const inputIds of prompts) {
      const rows = Array.from({ length: TINY.vocabSize }, (_, id) => ({
        inputIds: [...inputIds, id],
        labels: [...Array<number>(inputIds.length).fill(-100), id],
      }));
      expect((await trainer.evaluate(rows)).exactMatch).toBeCloseTo(1 / TINY.vocabSize, 10);
      for (const [id, row] of rows.entries()) {
        if ((await trainer.evaluate([row])).exactMatch === 1) answers.push(id);
        if (answers.length > prompts.indexOf(inputIds)) break;
      }
    }
    const row = (prompt: number, offset: number, extra: number[] = []): TokenizedExample => {
      const inputIds = [...(prompts[prompt] ?? []), ((answers[prompt] ?? 0) + offset) % TINY.vocabSize, ...extra];
      const first = prompts[prompt]?.length ?? 0;
      return { inputIds, labels: inputIds.map((id, t) => (t < first ? -100 : id)) };
    };
    const unlabelled = { inputIds: [1, 2, 3], labels: [-100, -100, -100] };
    const mixed = [row(0, 0), row(1, 1), row(2, 0), row(3, 0), unlabelled];
    expect(await trainer.evaluate(mixed)).toMatchObject({ exactMatch: 3 / 4, rows: 4, labelTokens: 4 });
    const second = await trainer.evaluate([row(4, 1, [7])]); // its first label is wrong, whatever the second
    expect(second).toMatchObject({ exactMatch: 0, labelTokens: 2 });
    trainer.destroy();
  });

  it('applies μ and drift to the gradient, or the drift to the weights after AdamW', async () => {
    const trainer = await createTrainer(await tinyModel('f32'), ALL);
    const { length } = trainer.layout;
    const batch = examples(2);
    const start = livelyAdapter(trainer);
    const reference = livelyAdapter(trainer, 21);
    const drift = Float32Array.from({ length }, (_, i) => 0.01 * (uniform(22, i) - 0.5));
    const options = { learningRate: 0.01, clipNorm: 0 };
    trainer.setReference(reference);
    const run = async (d: Float32Array | null, extra: object) => {
      trainer.resetOptimizer();
      trainer.setAdapter(start);
      trainer.setDrift(d);
      const { gradNorm } = await trainer.step(batch, { ...options, ...extra });
      return { gradNorm, adapter: await trainer.adapter() };
    };
    trainer.setAdapter(start);
    const gradient = await trainer.gradients(batch);
    const plain = await run(null, {});
    const corrected = await run(drift, { mu: 0.3 });
    const g = gradient.map((value, i) => value + 0.3 * ((start[i] ?? 0) - (reference[i] ?? 0)) + (drift[i] ?? 0));
    expect(corrected.gradNorm).toBeCloseTo(Math.hypot(...g), 4);
    const adamFirstStep = start.map((w, i) => w - (0.01 * (g[i] ?? 0)) / (Math.abs(g[i] ?? 0) + 1e-8));
    expect(relativeL2(corrected.adapter, adamFirstStep)).toBeLessThan(1e-5);
    const onWeights = await run(drift, { driftTarget: 'weights' });
    expect(onWeights.gradNorm).toBeCloseTo(plain.gradNorm, 5);
    expect(
      relativeL2(
        onWeights.adapter,
        plain.adapter.map((w, i) => w - 0.01 * (drift[i] ?? 0)),
      ),
    ).toBeLessThan(1e-6);
    expect(relativeL2(onWeights.adapter, plain.adapter)).toBeGreaterThan(1e-5);
    trainer.destroy();
  });

  it('drops adapter inputs by seed, in training only', async () => {
    const trainer = await createTrainer(await tinyModel('f32'), { ...ALL, dropout: 0.4 });
    const batch = examples(3);
    const vector = livelyAdapter(trainer);
    const lossOf = async (dropoutSeed: number) => {
      trainer.setAdapter(vector);
      return (await trainer.step(batch, { learningRate: 0, dropoutSeed })).lossNats;
    };
    const [a, again, b] = [await lossOf(1), await lossOf(1), await lossOf(2)];
    const evaluated = (await trainer.evaluate(batch)).lossNats;
    expect(again).toBe(a);
    expect(Math.abs(b - a)).toBeGreaterThan(1e-4);
    expect(Math.abs(evaluated - a)).toBeGreaterThan(1e-4);
    trainer.destroy();
  });

  it('continues bit by bit from a saved state', async () => {
    const model = await tinyModel('int8');
    const data = examples(6);
    const options = { batchSize: 2, learningRate: 0.01, clipNorm: 1, dropoutSeed: 9 };
    const lora = { ...ALL, dropout: 0.1 };
    const first = await createTrainer(model, lora);
    first.setAdapter(initAdapter(first.layout, 2));
    await train(first, data, { ...options, steps: 4 });
    const saved = await first.snapshot();
    await train(first, data, { ...options, steps: 7, startStep: 4 });
    const second = await createTrainer(model, lora);
    second.setAdapter(saved.adapter);
    second.setOptimizerState(saved.optimizer);
    await train(second, data, { ...options, steps: 7, startStep: 4 });
    expect(await second.adapter()).toEqual(await first.adapter());
    expect(saved.optimizer.t).toBe(4);
    first.destroy();
    second.destroy();
  });

  it('chooses the plan for the longest row to come, not when that row comes', async () => {
    const config = { ...TINY, layers: 8, maxPositions: 1500 };
    const model = await loadModel(await testGpu(), randomSource(config, 'int8'));
    const inputIds = Array.from({ length: 1400 }, (_, t) => (t * 7) % config.vocabSize);
    const row = { inputIds, labels: inputIds.map((id, t) => (t < 1300 ? -100 : id)) };
    const options = { attention: 'flash', budgetBytes: 6 * 2 ** 20 } as const;
    const blind = await createTrainer(model, ALL, options);
    await expect(blind.gradients([row])).rejects.toThrow(/plan A takes/);
    blind.destroy();
    const told = await createTrainer(model, ALL, { ...options, longestRow: 1400 });
    expect((await told.step([row], { learningRate: 0.01 })).tokens).toBe(1399);
    expect(told.bytes).toBeLessThan(6 * 2 ** 20);
    told.destroy();
    model.destroy();
  });

  it('goes on after a step that failed half way', async () => {
    const model = await tinyModel('f32');
    const trainer = await createTrainer(model, ALL, { maxBatchRows: 1, attention: 'materialised' });
    trainer.setAdapter(livelyAdapter(trainer));
    const [short] = examples(1);
    if (!short) throw new Error('one example');
    // The second micro-batch's attention matrix is larger than one binding may be on any adapter.
    const positions = 60_000;
    const wide = { ...model, config: { ...TINY, maxPositions: positions } };
    const loose = await createTrainer(wide, ALL, { maxBatchRows: 1, attention: 'materialised' });
    loose.setAdapter(livelyAdapter(loose));
    const huge = { inputIds: Array<number>(positions).fill(1), labels: Array<number>(positions).fill(1) };
    await expect(loose.step([short, huge], { learningRate: 0 })).rejects.toThrow(/MiB in one buffer/);
    const expected = await trainer.step([short], { learningRate: 0 });
    expect(await loose.step([short], { learningRate: 0 })).toEqual(expected);
    trainer.destroy();
    loose.destroy();
  });

  it('can be destroyed at any moment, which others on its device do not feel', async () => {
    const model = await tinyModel('f32');
    const other = await createTrainer(model, ALL);
    const { lossNats } = await other.evaluate(examples(3));
    for (const afterTurns of [0, 1, 3, 10]) {
      const trainer = await createTrainer(model, ALL);
      const first = trainer.step(examples(3), { learningRate: 0.01 });
      const second = trainer.evaluate(examples(2));
      const outcomes = Promise.allSettled([first, second]);
      for (let turn = 0; turn < afterTurns; turn++) await Promise.resolve();
      trainer.destroy();
      trainer.destroy();
      const [step, evaluation] = await outcomes;
      if (step.status === 'rejected') expect(step.reason).toMatchObject({ code: 'validation' });
      expect(evaluation).toMatchObject({ status: 'rejected', reason: { code: 'validation' } });
      expect(() => trainer.setAdapter(livelyAdapter(trainer))).toThrow(/destroyed/);
      await expect(trainer.adapter()).rejects.toThrow(/destroyed/);
    }
    expect((await other.evaluate(examples(3))).lossNats).toBe(lossNats);
    other.destroy();
  });

  it('refuses adapters that cannot be trained', async () => {
    const model = await tinyModel('f32');
    for (const wrong of [{ targets: [] }, { alpha: Number.NaN }, { dropout: 1 }, { dropout: -0.1 }, { rank: 0 }]) {
      await expect(createTrainer(model, { ...ALL, ...wrong })).rejects.toThrow(/^LoRA (targets|alpha|dropout|rank) /);
    }
  });

  it('refuses what it cannot learn from', async () => {
    const trainer = await createTrainer(await tinyModel('f32'), ALL);
    const step = (example: TokenizedExample) => trainer.step([example], { learningRate: 0.1 });
    await expect(step({ inputIds: [1, 40], labels: [-100, 40] })).rejects.toThrow(/token 40.*expected 0…39/);
    await expect(step({ inputIds: [1, 2], labels: [-100] })).rejects.toThrow(/2 tokens but 1 labels/);
    await expect(step({ inputIds: [1, 2], labels: [1, -100] })).rejects.toThrow(/no labelled token/);
    const long = Array<number>(97).fill(1);
    await expect(step({ inputIds: long, labels: long })).rejects.toThrow(/97 tokens, the model takes 96/);
    expect(() => trainer.setAdapter(new Float32Array(3))).toThrow(/got 3 elements/);
    expect(() => trainer.setAdapter(new Float32Array(trainer.layout.length).fill(Number.NaN))).toThrow(/NaN/);
    trainer.destroy();
  });
});
