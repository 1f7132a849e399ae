import { isDeepStrictEqual } from 'node:util';
import { expect, test } from 'vitest';
import { cellsOf } from './cells.ts';
import { clientsOf, type ExperimentConfigInput, experimentConfig, parseExperiment } from './config.ts';

const BASE: ExperimentConfigInput = {
  name: 'x',
  model: 'demo',
  data: { train: [{ from: 'demo' }] },
  clients: 4,
  algorithms: [{ id: 'fedavg' }],
  seeds: [1],
};

test.each([
  [{ foo: 1 }, 'there is no setting "foo"'],
  [{ run: { lora: { rnk: 3 } } }, 'there is no setting "run.lora.rnk"'],
  [{ run: { seed: 3 } }, 'there is no setting "run.seed"'],
  [{ run: { participants: { min: 1 } } }, 'there is no setting "run.participants"'],
  [{ algorithms: [{ id: 'fedprox', hyper: { nu: 1 } }] }, 'there is no setting "algorithms.0.hyper.nu"'],
  [{ algorithms: [{ id: 'local' }] }, 'algorithms.0.id: got local, which is a baseline'],
  [{ algorithms: [] }, 'algorithms: expected at least one algorithm or baseline'],
  [{ clients: undefined }, 'clients: expected how many clients'],
  [{ data: { train: [{ from: 'a', clients: 2 }, { from: 'b' }] } }, 'data.train: got `clients` at some sources'],
  [{ data: { train: [{ from: 'a', clients: 3 }] } }, 'clients: got 4, expected 3'],
  [{ data: { train: [{ from: 'a' }], heldOut: { share: 2 } } }, 'data.heldOut.share'],
  [
    { data: { train: [{ from: 'a', mapping: { prompt: 'q' } }] } },
    'data.train.0.mapping: expected {"prompt", "response"}',
  ],
  [{ perRound: 5 }, 'perRound: got 5, expected at most the 4 clients'],
  [{ partition: { kind: 'dirichlet' } }, 'partition.alpha'],
  [{ run: { maxSeqLength: 1 } }, 'run.maxSeqLength: got 1, expected at least 2 tokens'],
  [{ run: { learningRate: 1e-7 } }, 'run.minLearningRate: got 0.000001, expected at most learningRate'],
  [
    { run: { task: 'dpo' as const, maxSeqLength: 16, dpo: { maxPromptLength: 16 } } },
    'run.dpo.maxPromptLength: got 16, expected less than maxSeqLength (16)',
  ],
  [{ seeds: [1, 1] }, 'seeds: expected each seed once'],
])('%j is refused: %s', (change, message) => {
  const parsed = parseExperiment({ ...BASE, ...change });
  expect(parsed.ok).toBe(false);
  expect('message' in parsed && parsed.message).toContain(message);
});

test('sources with clients of their own add up', () => {
  const train = [
    { from: 'a', clients: 2 },
    { from: 'b', clients: 3 },
  ];
  expect(clientsOf(experimentConfig.parse({ ...BASE, clients: undefined, data: { train } }))).toBe(5);
});

test('cells: algorithms, then local clients, then pooled, seed by seed, with the steps that each takes', () => {
  const config = experimentConfig.parse({
    ...BASE,
    perRound: 3,
    run: { rounds: 2, steps: 5 },
    algorithms: [{ id: 'fedprox' }, { id: 'fedprox', hyper: { mu: 1 } }],
    baselines: ['local', 'pooled'],
    seeds: [1, 9],
  });
  const cells = cellsOf(config, 2); // fewer take part than would be drawn
  expect(cells.slice(0, 5).map(({ name, run, totalSteps }) => [name, run.steps, totalSteps])).toEqual([
    ['fedprox-seed1', 5, 20],
    ['fedprox-2-seed1', 5, 20],
    ['local-seed1-client0', 5, 10],
    ['local-seed1-client1', 5, 10],
    ['pooled-seed1', 10, 20],
  ]);
  expect(cells.slice(5).every(({ run }) => run.seed === 9)).toBe(true);
  expect(cellsOf(config, null)[0]?.run.participants).toEqual({ min: 1, max: 4, perRound: 3 });
});

test('a client alone has the rounds that the federations of its seed draw it for, together all of a federation’s steps', () => {
  for (const seeding of ['run', 'round-only'] as const) {
    const config = experimentConfig.parse({
      ...BASE,
      clients: 5,
      perRound: 2,
      run: { rounds: 7, steps: 3, seeding },
      algorithms: [],
      baselines: ['local', 'local-every-round'],
      seeds: [1, 2],
    });
    const cells = cellsOf(config, null);
    const stepsOf = (kind: string, seed: number) =>
      cells.filter((cell) => cell.kind === kind && cell.seed === seed).map(({ totalSteps }) => totalSteps);
    for (const seed of [1, 2]) {
      expect(stepsOf('local', seed).reduce((sum, steps) => sum + steps, 0)).toBe(7 * 3 * 2);
      expect(stepsOf('local-every-round', seed)).toEqual([21, 21, 21, 21, 21]);
    }
    expect(new Set(stepsOf('local', 1)).size).toBeGreaterThan(1);
    expect(isDeepStrictEqual(stepsOf('local', 1), stepsOf('local', 2))).toBe(seeding === 'round-only');
    expect(cells[0]?.name).toBe('local-seed1-client0');
    expect(cells[5]?.name).toBe('local-every-round-seed1-client0');
    expect(cells[5]?.run.participants.perRound).toBeUndefined();
  }
});
