import { initialRun, type RoundEvent, type RunConfigInput, type RunState, reduce, runConfig } from '@cotune/fl-core';
import { expect, test } from 'vitest';
import { createEnding } from './ending.ts';
import { watch } from './watch.ts';

const ref = (name: string) => ({ url: `/api/adapters/${name}`, sha256: name, bytes: 20 });
const ROUNDS = 12;

/** Runs a client alone that is drawn now and then, whose aggregate fails in `bad` rounds; returns what was removed after each event. */
function removals(seed: number, bad: (round: number) => boolean, settings: Partial<RunConfigInput> = {}) {
  const config = runConfig.parse({
    ...{ name: 'x', modelId: 'm', rounds: ROUNDS, seed, lora: {}, graceMs: 1e9, roundDeadlineMs: 1e9 },
    algorithm: { id: 'local', hyper: { client: 0, rounds: 'drawn' } },
    participants: { min: 1, max: 3, perRound: 1 },
    ...settings,
  });
  let state = initialRun({ runId: 'r', config, atMs: 0 });
  const removed: string[] = [];
  const seen: { state: RunState; removed: string[] }[] = [];
  const ending = createEnding();
  const watched = watch(
    { onProgress() {} },
    { events: [], blobs: { remove: async (_kind, sha256) => void removed.push(sha256) }, ending },
  );
  const apply = (event: RoundEvent) => {
    state = reduce(state, event).state;
    watched.on(event, state);
    seen.push({ state, removed: [...removed] });
  };
  const p = (i: number) => `p${i}`;
  apply({ type: 'opened', atMs: 0 });
  for (let i = 0; i < 3; i++) apply({ type: 'joined', participantId: p(i), name: p(i), atMs: 0 });
  apply({ type: 'starting', atMs: 0 });
  apply({ type: 'started', adapter: ref('start'), baseline: null, atMs: 0 });
  while (state.current) {
    const { round, attempt } = state.current;
    const update = { participantId: p(0), examples: 1, lossNats: 1, updateNorm: 1 };
    apply({ type: 'uploaded', round, attempt, update: { ...update, blob: { sha256: 'u', bytes: 1 } }, atMs: 0 });
    if (bad(round)) apply({ type: 'aggregation-failed', round, reason: 'not finite', atMs: 0 });
    else apply({ type: 'aggregated', round, adapter: ref(`made-${round}`), atMs: 0 });
  }
  return { seen, state, failed: ending.failed() };
}

test.each([
  ['every aggregate is used', () => false],
  ['every other is not', (round: number) => round % 2 === 1],
])('lets go of adapters that are past, never of the one at hand, also where rounds pass: %s', (_, bad) => {
  let passing = 0;
  for (let seed = 0; seed < 12; seed++) {
    const { seen, state, failed } = removals(seed, bad);
    expect([state.phase, failed]).toEqual(['finished', false]);
    for (const { state, removed } of seen) if (state.adapter) expect(removed).not.toContain(state.adapter.sha256);
    const made = ['start', ...state.history.flatMap(({ adapterSha256 }) => adapterSha256 ?? [])];
    const past = new Set(made.filter((sha256) => sha256 !== state.adapter?.sha256));
    expect(new Set(seen.at(-1)?.removed)).toEqual(past);
    passing += state.history.filter(({ sampled }) => sampled.length === 0).length;
  }
  expect(passing).toBeGreaterThan(20);
});

test('keeps the adapter that it starts from while it is the reference of preferences', () => {
  const from = { task: 'dpo' as const, startAdapter: 'c'.repeat(64) };
  const removed = (settings: Partial<RunConfigInput>) => removals(1, () => false, settings).seen.at(-1)?.removed;
  expect(removed({ ...from, dpo: { reference: 'start' } })).not.toContain('start');
  expect(removed({ ...from, dpo: { reference: 'start' } })?.length).toBeGreaterThan(0);
  expect(removed({ ...from, dpo: { reference: 'base' } })).toContain('start');
});
