import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import type { ExperimentConfigInput } from '../src/simulation/config.ts';
import { roundRecord } from '../src/simulation/records.ts';
import type { TrainingJob } from '../src/simulation/virtual-client.ts';
import { CONFIG, root, simulate } from './simulation.test-support.ts';

vi.setConfig({ testTimeout: 240_000 });

const linesOf = (out: string, cell: string) =>
  readFileSync(join(root, out, cell, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => roundRecord.parse(JSON.parse(line)));

const FEW_DRAWN: Partial<ExperimentConfigInput> = {
  clients: 4,
  perRound: 1,
  data: { train: [{ from: 'demo', maxRows: 30 }], heldOut: { from: 'demo-test', maxRows: 3 } },
  run: { ...CONFIG.run, rounds: 5, steps: 1, batchSize: 2, evaluateEveryRounds: 2 },
  baselines: ['local', 'local-every-round', 'pooled'],
};

/** Without the start, which is another client's model: what a training does, of whom and when. */
const trainingOf = ({ weights: _, rule: __, ...job }: TrainingJob & { rule?: unknown }) => job;

test('a client alone takes the steps that it takes in the federation of its seed: same rounds, rows, seeds and rates', async () => {
  const jobs = new Map<string, ReturnType<typeof trainingOf>[]>();
  const { results, failed } = await simulate('few', FEW_DRAWN, {
    onJob: async ({ name }, job) => void jobs.set(name, [...(jobs.get(name) ?? []), trainingOf(job)]),
  });
  expect(failed).toEqual([]);
  const of = (name: string) => results.find(({ cell }) => cell === name);
  const federated = of('fedavg-seed1')?.client_steps ?? [];
  expect(federated.reduce((sum, steps) => sum + steps, 0)).toBe(5);
  expect(federated).toContain(0); // four clients, five rounds of one: with this seed somebody is never drawn
  const start = linesOf('few', 'fedavg-seed1')[0]?.adapter_sha256;
  federated.forEach((steps, client) => {
    const name = `local-seed1-client${client}`;
    expect(of(name)?.client_steps).toEqual(federated.map((_, other) => (other === client ? steps : 0)));
    expect(jobs.get(name) ?? []).toEqual((jobs.get('fedavg-seed1') ?? []).filter(({ ordinal }) => ordinal === client));
    expect(of(name)?.adapter_sha256 === start).toBe(steps === 0);
    if (steps === 0) expect(of(name)?.held_out).toEqual(of(name)?.untuned);
    expect(of(`local-every-round-seed1-client${client}`)?.client_steps[client]).toBe(5);
  });
  expect(of('pooled-seed1')?.client_steps).toEqual([5]);
});

test('a round that passes has the figures of the unchanged model, in the rounds that are evaluated', async () => {
  await simulate('few', FEW_DRAWN); // of the test before; alone it runs now
  for (let client = 0; client < 4; client++) {
    const lines = linesOf('few', `local-seed1-client${client}`);
    expect(lines.map(({ round }) => round)).toEqual([-1, 0, 1, 2, 3, 4]);
    expect(lines.map(({ held_out }) => held_out !== null)).toEqual([true, false, true, false, true, true]);
    const figures = new Map<string, unknown>();
    for (const { adapter_sha256: adapter, held_out: heldOut, clients, bytes_up: bytes } of lines) {
      expect(bytes > 0).toBe(clients.length > 0);
      if (heldOut === null) continue;
      expect(heldOut).toEqual(figures.get(`${adapter}`) ?? heldOut);
      figures.set(`${adapter}`, heldOut);
    }
    expect(new Set(lines.map(({ adapter_sha256: adapter }) => adapter)).size).toBe(
      1 + lines.filter(({ clients }) => clients.length > 0).length,
    );
  }
});

test('where all are drawn, alone in the drawn rounds is alone in every round, to the bit', async () => {
  const { results } = await simulate('all', {
    clients: 2,
    run: { ...CONFIG.run, rounds: 3, steps: 1 },
    algorithms: [],
    baselines: ['local', 'local-every-round'],
  });
  const hashes = results.map(({ adapter_sha256: hash }) => hash);
  expect(hashes.slice(0, 2)).toEqual(hashes.slice(2));
  expect(new Set(hashes).size).toBe(2);
});

test('stopped in the middle, it goes on to the same adapters and counts only the steps that are to be taken', async () => {
  const config: Partial<ExperimentConfigInput> = {
    ...FEW_DRAWN,
    perRound: 2,
    run: { ...CONFIG.run, rounds: 4, steps: 3, batchSize: 2 },
    algorithms: [],
    baselines: ['local'],
  };
  const told: { steps: number; total: number }[] = [];
  const whole = await simulate('untouched', config, {
    onStep: ({ totalSteps }, { steps, stepsToCome }) => void told.push({ steps, total: totalSteps + stepsToCome }),
  });
  expect(told[0]?.total).toBe(4 * 3 * 2); // K clients' steps in every round, whoever takes them
  expect(told.every(({ steps, total }) => steps <= total)).toBe(true);
  for (let calls = 1; ; calls++) {
    const abort = new AbortController();
    let steps = 0;
    const outcome = await simulate('interrupted', config, {
      stop: abort.signal,
      checkpointEveryMs: 0,
      onStep: (_cell, { lossNats }) => {
        if (lossNats !== null && ++steps === 4) abort.abort();
      },
    });
    if (outcome.stopped) continue;
    expect(calls).toBeGreaterThan(3);
    const bits = (results: typeof whole.results) =>
      results.map(({ adapter_sha256, client_steps, held_out }) => ({ adapter_sha256, client_steps, held_out }));
    expect(bits(outcome.results)).toEqual(bits(whole.results));
    break;
  }
});

test('a result of other rules is refused: an earlier version trained clients alone in every round', async () => {
  const config: Partial<ExperimentConfigInput> = { ...FEW_DRAWN, algorithms: [], baselines: ['local'] };
  const only = ['local-seed1-client0'];
  await simulate('earlier', config, { only });
  const path = join(root, 'earlier', 'local-seed1-client0', 'result.json');
  const result = JSON.parse(readFileSync(path, 'utf8'));
  writeFileSync(path, JSON.stringify({ ...result, client_steps: [5, 0, 0, 0] }));
  await expect(simulate('earlier', config, { only })).rejects.toThrow(/5 optimiser steps, expected at most \d/);
});
