import { runView } from '@cotune/fl-core/protocol';
import { expect, it } from 'vitest';
import { currentPhase, timeLeftMs } from './phase.ts';

const run = (roundPhase: string | null, phase = 'running') =>
  runView.parse({
    runId: 'r',
    config: { name: 'x', modelId: 'm', algorithm: { id: 'fedavg' }, lora: {}, participants: {} },
    phase,
    reason: null,
    round: 0,
    attempt: 0,
    roundPhase,
    participants: 2,
    connected: 2,
    adapter: null,
    baseline: null,
    rounds: [],
    createdAtMs: 0,
  });

it('follows a round through its phases', () => {
  expect(currentPhase(null, run(null, 'open'))).toBe('download');
  expect(currentPhase({ kind: 'waiting', reason: '' }, run('gathering'))).toBe('waiting');
  expect(currentPhase({ kind: 'training', round: 0, step: 1, steps: 2, lossNats: 1 }, run('training'))).toBe(
    'training',
  );
  expect(currentPhase({ kind: 'uploading', round: 0, sentBytes: 0, totalBytes: 1 }, run('training'))).toBe('uploading');
  expect(currentPhase({ kind: 'uploaded', round: 0, verdict: { status: 'accepted' } }, run('training'))).toBe(
    'aggregating',
  );
  expect(currentPhase({ kind: 'waiting', reason: '' }, run('evaluating'))).toBe('aggregating');
  expect(currentPhase({ kind: 'finished' }, run(null, 'finished'))).toBe('round');
});

it('estimates the time left from the pace so far', () => {
  expect(timeLeftMs(5, 20, 1000)).toBe(3000);
  expect(timeLeftMs(0, 20, 1000)).toBeNaN();
  expect(timeLeftMs(20, 20, 1000)).toBe(0);
});
