import { type Effect, encodeVector, initialRun, runConfig, runViewOf } from '@cotune/fl-core';
import { expect, test } from 'vitest';
import { createEffects, type EffectServices } from '../src/effects.ts';
import { createLog } from '../src/log.ts';
import type { EventBody, RunEngine } from '../src/run-engine.ts';
import { PATIENT } from './harness.ts';

const config = runConfig.parse({
  name: 'x',
  modelId: 'tiny',
  algorithm: { id: 'fedavg' },
  lora: {},
  participants: {},
  evaluationId: 'held-out',
});
const adapter = { url: '/api/adapters/x', sha256: 'ab'.repeat(32), bytes: 20 };
const aggregation: Effect = {
  type: 'aggregate',
  round: 0,
  attempt: 0,
  updates: [],
  clients: 0,
  adapter,
  algorithmState: null,
};

/** An engine that only notes what it is told. */
function notingRun() {
  const told: EventBody[] = [];
  const state = initialRun({ runId: 'run_1', config, atMs: 0 });
  const run: RunEngine = {
    runId: 'run_1',
    state: () => state,
    view: () => runViewOf(state),
    dispatch: async (event) => {
      told.push(event);
      return state;
    },
    close: async () => {},
  };
  return { told, run };
}

/** The same, on storage whose reads fail with `errorCode()`. */
function failingRun(errorCode: () => string) {
  const { told, run } = notingRun();
  const read = async () => {
    throw Object.assign(new Error('storage failed'), { code: errorCode() });
  };
  const services = { blobs: { read }, log: createLog('silent'), admin: { push() {} } } as unknown as EffectServices;
  return { told, run, effects: createEffects(services) };
}

test('a full disk pauses the run, and resuming it performs the aggregation again', async () => {
  let code = 'ENOSPC';
  const { told, run, effects } = failingRun(() => code);
  effects.perform(run, aggregation);
  await expect.poll(() => told, PATIENT).toHaveLength(1);
  expect(told[0]).toEqual({ type: 'paused', reason: expect.stringMatching(/disk space/) });

  code = 'EIO';
  effects.takeUp(run);
  await expect.poll(() => told, PATIENT).toHaveLength(2);
  expect(told[1]).toMatchObject({ type: 'aggregation-failed', round: 0, reason: 'storage failed' });
  effects.takeUp(run);
  await effects.close();
  expect(told).toHaveLength(2);
});

test('a held-out loss that is not finite reaches the round, which must not publish it', async () => {
  const { told, run } = notingRun();
  const metrics = { lossNats: Number.NaN, accuracy: 0, rows: 3, labelTokens: 6 };
  const services = {
    blobs: { read: async () => encodeVector(new Float32Array(4), { dtype: 'f32', round: 1 }) },
    evaluator: { evaluate: async () => metrics },
    log: createLog('silent'),
    admin: { push() {} },
  } as unknown as EffectServices;
  const effects = createEffects(services);
  effects.perform(run, { type: 'evaluate', round: 0, adapter });
  await expect.poll(() => told, PATIENT).toEqual([{ type: 'evaluated', round: 0, metrics }]);
  await effects.close();
});
