import { expect, it } from 'vitest';
import { testGpu } from '../../test/gpu.ts';
import { randomSource, TINY } from '../../test/random-model.ts';
import type { Gpu } from '../gpu/device.ts';
import { GpuError } from '../gpu/error.ts';
import { openNodeGpu } from '../gpu/node.ts';
import { loadModel } from '../llama/weights.ts';
import { initAdapter } from '../lora/init.ts';
import { adapterLayout, type LoraConfig } from '../lora/layout.ts';
import { uniform } from '../lora/uniform.ts';
import type { CheckpointStore } from './checkpoint.ts';
import { trainPairs } from './dpo-train.ts';
import { createTrainerHost, hostOf, type TrainerHostOptions } from './host.ts';
import { type ResumableOptions, trainPairsResumably, trainResumably } from './resumable.ts';
import { train } from './train.ts';
import { createTrainer } from './trainer.ts';

const LORA: LoraConfig = { rank: 3, alpha: 6, dropout: 0.1, targets: ['q_proj', 'v_proj', 'down_proj'] };
const weights = initAdapter(adapterLayout(TINY, LORA), 5);
const drift = weights.map((w, i) => (i % 7) * 1e-3 - w * 1e-2);
const examples = Array.from({ length: 9 }, (_, row) => {
  const inputIds = Array.from({ length: 5 + row }, (_unused, t) => (row * 7 + t * 3) % TINY.vocabSize);
  return { inputIds, labels: inputIds };
});
const options: ResumableOptions = {
  weights,
  drift,
  mu: 0.1,
  order: [3, 1, 4, 1, 5, 0, 2, 6, 8, 7],
  steps: 5,
  batchSize: 4,
  learningRate: 0.01,
  clipNorm: 1,
  dropoutSeed: 11,
};

/** A host on devices of its own; `gpus` collects them, the one in use last. */
function freshHost(more: Partial<TrainerHostOptions> = {}) {
  const gpus: Gpu[] = [];
  const openGpu = async () => {
    const gpu = await openNodeGpu({ allowSoftware: true });
    gpus.push(gpu);
    return gpu;
  };
  return { gpus, host: createTrainerHost({ openGpu, source: randomSource(TINY, 'int8'), lora: LORA, ...more }) };
}

function memoryStore(): CheckpointStore & { bytes: Uint8Array<ArrayBuffer> | undefined } {
  return {
    bytes: undefined,
    async get() {
      return this.bytes;
    },
    async set(bytes) {
      this.bytes = bytes;
    },
    async delete() {
      this.bytes = undefined;
    },
  };
}

async function undisturbed(): Promise<Float32Array> {
  const { host } = freshHost();
  const { adapter } = await trainResumably(host, examples, options);
  host.destroy();
  return adapter;
}

it('trains the ordered rows from the given vector, whatever the trainer did before', async () => {
  const model = await loadModel(await testGpu(), randomSource(TINY, 'f32'));
  const lora = { rank: 2, alpha: 4, dropout: 0, targets: ['q_proj', 'v_proj'] } as const;
  const examples = [5, 9, 7].map((length, row) => {
    const inputIds = Array.from({ length }, (_, t) => Math.floor(uniform(row, t) * TINY.vocabSize));
    return { inputIds, labels: inputIds.map((id, t) => (t < 2 ? -100 : id)) };
  });
  const options = { steps: 2, batchSize: 2, learningRate: 0.02, clipNorm: 1, mu: 0.5 };
  const order = [2, 0, 1, 2];

  const reference = await createTrainer(model, lora);
  const { length } = reference.layout;
  const vectorOf = (seed: number) => Float32Array.from({ length }, (_, i) => 0.6 * (uniform(seed, i) - 0.5));
  const [weights, drift] = [vectorOf(3), vectorOf(4)];
  reference.setAdapter(weights);
  reference.setReference(weights);
  reference.setDrift(drift);
  await train(
    reference,
    order.flatMap((index) => examples[index] ?? []),
    options,
  );
  const expected = await reference.adapter();

  const used = await createTrainer(model, lora);
  await trainResumably(hostOf(used), examples, { ...options, weights: vectorOf(8), order: [1, 1], drift: vectorOf(9) });
  const again = await trainResumably(hostOf(used), examples, { ...options, weights, order, drift });
  expect(again.adapter).toEqual(expected);
  // Without a drift the one of before is gone.
  const plain = await trainResumably(hostOf(used), examples, { ...options, weights, order });
  expect(plain.adapter).not.toEqual(expected);
  expect(await trainResumably(hostOf(reference), examples, { ...options, weights, order })).toEqual(plain);
  await expect(trainResumably(hostOf(used), examples, { ...options, weights, order: [3] })).rejects.toThrow(
    'row 3 of 3',
  );
  for (const trainer of [used, reference]) trainer.destroy();
  model.destroy();
});

it('ends with the bits of an undisturbed run when the device goes away twice in mid-run', async () => {
  const { host, gpus } = freshHost();
  const steps: number[] = [];
  const recovered: [string, number][] = [];
  const { adapter: vector } = await trainResumably(host, examples, {
    ...options,
    onStep: ({ step }) => {
      steps.push(step);
      if (step === 1 || step === 3) gpus.at(-1)?.device.destroy(); // the next step finds no device
    },
    onRecovered: ({ code }, step) => void recovered.push([code, step]),
  });
  host.destroy();
  expect(gpus).toHaveLength(3);
  expect(recovered).toEqual([
    ['device-lost', 2],
    ['device-lost', 4],
  ]);
  expect(steps).toEqual([0, 1, 2, 3, 4]); // none is reported twice, none is lost
  expect(vector).toEqual(await undisturbed());
});

it('goes on from the state that an earlier call left of AdamW, as one training would', async () => {
  const { dropoutSeed: _, ...rest } = options;
  const lora = { ...LORA, dropout: 0 };
  const { host } = freshHost({ lora });
  const call = (from: number, to: number, change: Partial<ResumableOptions> = {}) =>
    trainResumably(host, examples, {
      ...rest,
      mu: 0,
      steps: to - from,
      order: Array.from({ length: (to - from) * rest.batchSize }, (_unused, i) => (from * rest.batchSize + i) % 9),
      ...change,
    });
  const whole = await call(0, 5);
  expect(whole.optimizer.t).toBe(5);
  const before = await call(0, 2);
  expect(before.optimizer.t).toBe(2);
  const { adapter: weights, optimizer } = before;
  const kept = { m: optimizer.m.slice(), v: optimizer.v.slice(), t: optimizer.t };
  expect(await call(2, 5, { weights, optimizer })).toEqual(whole);
  expect(optimizer).toEqual(kept); // and is not changed by that
  const fresh = await call(2, 5, { weights });
  expect(fresh.optimizer.t).toBe(3);
  expect(fresh.adapter).not.toEqual(whole.adapter);
  const short = { ...optimizer, v: optimizer.v.subarray(1) };
  await expect(call(2, 5, { weights, optimizer: short })).rejects.toMatchObject({ code: 'bad-adapter' });
  host.destroy();
});

it('holds w₀ of the proximal term only where there is one', async () => {
  const bytesWith = async (mu: number): Promise<number> => {
    const { host } = freshHost();
    const { drift: _drift, ...plain } = options;
    await trainResumably(host, examples, { ...plain, mu, steps: 1 });
    const { bytes } = await host.trainer();
    host.destroy();
    return bytes;
  };
  expect((await bytesWith(0.1)) - (await bytesWith(0))).toBe(weights.byteLength);
});

it('does the same for preference pairs', async () => {
  const pairs = examples.slice(1).map((chosen, i) => ({ chosen, rejected: examples[i] ?? chosen }));
  const { drift: _drift, onStep: _onStep, ...rest } = options;
  const settings = { ...rest, beta: 0.2, batchSize: 2 };
  const still = freshHost();
  const trainer = await still.host.trainer();
  trainer.setAdapter(weights);
  trainer.setReference(weights);
  await trainPairs(
    trainer,
    settings.order.flatMap((i) => pairs[i % 8] ?? []),
    settings,
  );
  const expected = await trainer.adapter();
  still.host.destroy();
  const { host, gpus } = freshHost();
  const order = settings.order.map((i) => i % 8);
  const { adapter: vector } = await trainPairsResumably(host, pairs, {
    ...settings,
    order,
    onStep: ({ step }) => step === 2 && gpus.at(-1)?.device.destroy(),
  });
  host.destroy();
  expect(gpus).toHaveLength(2);
  expect(vector).toEqual(expected);
});

it('asks the base model once about pairs met more than once, and again only where the device was lost meanwhile', async () => {
  const pairs = examples.slice(1).map((chosen, i) => ({ chosen, rejected: examples[i] ?? chosen }));
  const { drift: _drift, onStep: _onStep, order: _order, ...rest } = options;
  const settings = { ...rest, beta: 0.2, batchSize: 2 };
  const order = [3, 1, 4, 1, 5, 0, 2, 6, 0, 7];
  const run = async (lose: boolean) => {
    const { host, gpus } = freshHost();
    const asked: number[] = [];
    const recovered: number[] = [];
    const { adapter: vector } = await trainPairsResumably(host, pairs, {
      ...settings,
      order,
      onReference: ({ pairs: done }) => {
        asked.push(done);
        if (lose && gpus.length === 1) gpus[0]?.device.destroy();
      },
      onStep: ({ step }) => lose && gpus.length === 2 && step === 1 && gpus[1]?.device.destroy(),
      onRecovered: (_, step) => void recovered.push(step),
    });
    host.destroy();
    return { vector, asked, recovered };
  };
  const still = await run(false);
  const disturbed = await run(true);
  expect(disturbed.vector).toEqual(still.vector);
  expect(still).toMatchObject({ asked: [8], recovered: [] });
  // The answers were there when the device went; the second loss does not ask again either.
  expect(disturbed).toMatchObject({ asked: [8], recovered: [0, 2] });

  const { host } = freshHost();
  const asked: number[] = [];
  const onReference = (progress: { pairs: number }) => void asked.push(progress.pairs);
  const once = { ...settings, order: [3, 1, 4, 5, 0, 2, 6, 7], steps: 4, onReference };
  await trainPairsResumably(host, pairs, once);
  expect(asked).toEqual([]); // each is met once: the step itself asks
  const stopped = new AbortController();
  stopped.abort();
  await trainPairsResumably(host, pairs, { ...settings, order, onReference, signal: stopped.signal });
  expect(asked).toEqual([]);
  host.destroy();
});

it('trains against a reference adapter, to the same bits when the device goes away, and takes up no checkpoint of another', async () => {
  const pairs = examples.slice(1).map((chosen, i) => ({ chosen, rejected: examples[i] ?? chosen }));
  const { drift: _drift, onStep: _onStep, order: _order, mu: _mu, ...rest } = options;
  const start = weights.map((w, i) => w + 0.05 * Math.sin(i));
  const settings = { ...rest, weights: start, beta: 0.2, batchSize: 2, steps: 3, order: [3, 1, 4, 5, 0, 2] };
  const run = async (change: { referenceAdapter?: Float32Array; store?: CheckpointStore; lose?: boolean }) => {
    const { lose = false, ...course } = change;
    const { host, gpus } = freshHost({ lora: { ...LORA, dropout: 0 } });
    const losses: number[] = [];
    const resumed: number[] = [];
    const { adapter } = await trainPairsResumably(host, pairs, {
      ...settings,
      ...course,
      onStep({ step, lossNats }) {
        losses.push(lossNats);
        if (lose && step === 0 && gpus.length === 1) gpus[0]?.device.destroy();
      },
      onResumed: (step) => resumed.push(step),
    });
    host.destroy();
    return { adapter, losses, resumed };
  };
  const base = await run({});
  const own = await run({ referenceAdapter: start });
  expect(own.losses[0]).toBeCloseTo(Math.LN2, 5);
  expect(Math.abs((base.losses[0] ?? 0) - Math.LN2)).toBeGreaterThan(1e-3);
  expect(own.adapter).not.toEqual(base.adapter);
  const store = memoryStore();
  const again = await run({ referenceAdapter: start, lose: true, store });
  expect(again).toEqual(own);
  expect((await run({ referenceAdapter: start, store })).resumed).toEqual([3]);
  expect((await run({ referenceAdapter: weights, store })).resumed).toEqual([]);
  expect((await run({ store })).resumed).toEqual([]);
});

it('opens the device again where it goes away before the base model has answered', async () => {
  const pairs = examples.slice(1).map((chosen, i) => ({ chosen, rejected: examples[i] ?? chosen }));
  const { drift: _drift, onStep: _onStep, ...rest } = options;
  const { host, gpus } = freshHost();
  await host.trainer();
  gpus[0]?.device.destroy();
  const recovered: number[] = [];
  await trainPairsResumably(host, pairs, {
    ...rest,
    order: [1, 1],
    steps: 1,
    beta: 0.2,
    onRecovered: (_, step) => void recovered.push(step),
  });
  host.destroy();
  expect(gpus).toHaveLength(2);
  expect(recovered).toEqual([0]);
});

it('goes on in another process from the stored checkpoint, telling the steps before it again', async () => {
  const store = memoryStore();
  const stop = new AbortController();
  const first = freshHost();
  await trainResumably(first.host, examples, {
    ...options,
    store,
    signal: stop.signal,
    onStep: ({ step }) => step === 2 && stop.abort(),
  });
  first.host.destroy();
  const second = freshHost();
  const steps: number[] = [];
  let resumed = 0;
  const { adapter: vector } = await trainResumably(second.host, examples, {
    ...options,
    store,
    onStep: ({ step }) => void steps.push(step),
    onResumed: (step) => {
      resumed = step;
    },
  });
  second.host.destroy();
  expect(resumed).toBe(3);
  expect(steps).toEqual([0, 1, 2, 3, 4]);
  expect(vector).toEqual(await undisturbed());
});

it('goes on to more steps from the checkpoint of fewer, and says when a checkpoint of other work is in the way', async () => {
  const store = memoryStore();
  const { host } = freshHost();
  const resumed: number[] = [];
  const others: number[] = [];
  const run = (changed: Partial<ResumableOptions>) =>
    trainResumably(host, examples, {
      ...options,
      ...changed,
      store,
      onResumed: (step) => void resumed.push(step),
      onOther: (step) => void others.push(step),
    });
  await run({ steps: 1, order: options.order.slice(0, 4) }); // the rows of later steps are not known yet
  const { adapter } = await run({});
  expect({ resumed, others }).toEqual({ resumed: [1], others: [] });
  expect(adapter).toEqual(await undisturbed());
  const kept = store.bytes;
  const refuse = () => {
    throw new Error('kept');
  };
  await run({ learningRate: 0.02, steps: 1 });
  expect(others).toEqual([5]);
  store.bytes = kept;
  await expect(
    trainResumably(host, examples, { ...options, steps: 3, store, onOther: refuse }), // further than asked for
  ).rejects.toThrow('kept');
  expect(store.bytes).toBe(kept);
  host.destroy();
});

it('takes up no checkpoint of other work, and none that is damaged', async () => {
  const store = memoryStore();
  const { host } = freshHost();
  const run = async (changed: Partial<ResumableOptions>, rows = examples) => {
    let resumed = 0;
    await trainResumably(host, rows, {
      ...options,
      steps: 2,
      ...changed,
      store,
      onResumed: (step) => {
        resumed = step;
      },
    });
    return resumed;
  };
  await run({});
  expect(await run({})).toBe(2); // the very same work is done already
  expect(await run({ learningRate: 0.02 })).toBe(0);
  expect(await run({ learningRate: 0.02 })).toBe(2);
  expect(await run({ weights: weights.map((w) => w * 2) })).toBe(0);
  expect(await run({ order: [1, 3, 4, 1, 5, 0, 2, 6, 8, 7] })).toBe(0);
  expect(await run({}, examples.toReversed())).toBe(0);
  expect(await run({ drift: undefined })).toBe(0);
  expect(await run({ drift: undefined })).toBe(2);
  const optimizer = { m: weights.map((w) => w / 9), v: weights.map((w) => w * w), t: 3 };
  expect(await run({ optimizer })).toBe(0);
  expect(await run({ optimizer })).toBe(2);
  expect(await run({ optimizer: { ...optimizer, m: optimizer.m.map((m) => -m) } })).toBe(0);
  expect(await run({ optimizer: { ...optimizer, v: optimizer.v.map((v) => v * 2) } })).toBe(0);
  expect(await run({ optimizer: { ...optimizer, t: 4 } })).toBe(0);
  expect(await run({})).toBe(0);
  expect(await run({ drift: undefined, context: 'another model' })).toBe(0);
  expect(await run({ drift: undefined, context: 'another model' })).toBe(2);
  const last = store.bytes?.at(-5) ?? 0;
  store.bytes?.set([last ^ 1], store.bytes.length - 5);
  expect(await run({ drift: undefined, context: 'another model' })).toBe(0);
  host.destroy();
});

it('makes the next trainer smaller after the GPU ran out of memory', async () => {
  const { host, gpus } = freshHost();
  const train = async (order: number[]) => {
    const trainer = await host.trainer();
    await trainer.step(
      order.map((i) => examples[i]).flatMap((example) => example ?? []),
      { learningRate: 0.01 },
    );
    return gpus.at(-1)?.memory.peakBytes ?? 0;
  };
  const batch = Array.from({ length: 120 }, (_, i) => i % 9);
  const before = await train(batch);
  await host.reopen(new GpuError('out-of-memory', 'activations'));
  const after = await train(batch);
  expect(gpus).toHaveLength(2);
  expect(after).toBeLessThan(0.8 * before);
  host.destroy();
});

it('gives up when the GPU fails again and again, and at once when the error is of another kind', async () => {
  const { host, gpus } = freshHost();
  const lost = trainResumably(host, examples, options);
  await host.trainer();
  const killer = setInterval(() => gpus.at(-1)?.device.destroy(), 0);
  await expect(lost).rejects.toMatchObject({ code: 'device-lost' });
  clearInterval(killer);
  const wrong = freshHost();
  const rows = [{ inputIds: [TINY.vocabSize], labels: [1] }];
  const failed = trainResumably(wrong.host, rows, { ...options, order: [0, 0, 0, 0] });
  await expect(failed).rejects.toMatchObject({ code: 'bad-token' });
  expect(wrong.gpus).toHaveLength(1);
  wrong.host.destroy();
});

it('stops where an update leaves no numbers, and keeps the checkpoint before it', async () => {
  const { host } = freshHost();
  const store = memoryStore();
  const diverging = trainResumably(host, examples, { ...options, learningRate: 1e39, steps: 1, store });
  await expect(diverging).rejects.toMatchObject({ code: 'diverged', message: expect.stringContaining('step 1:') });
  host.destroy();
  expect(store.bytes).toBeUndefined();
});
