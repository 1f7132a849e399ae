import { type Effect, initialRun, runConfig, runViewOf } from '@cotune/fl-core';
import { expect, test } from 'vitest';
import { createEffects, type EffectServices } from '../src/effects.ts';
import { createLog } from '../src/log.ts';
import type { EventBody, RunEngine } from '../src/run-engine.ts';

const config = runConfig.parse({ name: 'x', modelId: 'tiny', algorithm: { id: 'fedavg' }, lora: {}, participants: {} });
const adapter = { url: '/api/adapters/x', sha256: 'ab'.repeat(32), bytes: 20 };
const aggregation: Effect = { type: 'aggregate', round: 0, attempt: 0, updates: [], adapter, algorithmState: null };

/** An engine that only notes what it is told, on storage whose reads fail with `errorCode()`. */
function failingRun(errorCode: () => string) {
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
  await expect.poll(() => told).toHaveLength(1);
  expect(told[0]).toEqual({ type: 'paused', reason: expect.stringMatching(/disk space/) });

  code = 'EIO';
  effects.takeUp(run);
  await expect.poll(() => told).toHaveLength(2);
  expect(told[1]).toMatchObject({ type: 'aggregation-failed', round: 0, reason: 'storage failed' });
  effects.takeUp(run);
  await effects.close();
  expect(told).toHaveLength(2);
});
