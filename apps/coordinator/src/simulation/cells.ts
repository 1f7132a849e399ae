import {
  type AlgorithmSettings,
  algorithmSettings,
  type RunConfig,
  runConfig,
  type SampleSeed,
  sample,
} from '@cotune/fl-core';
import { type Baseline, clientsOf, type ExperimentConfig } from './config.ts';
import type { CellKind } from './records.ts';

/** One training of the experiment, with a directory of its own. */
export interface Cell {
  /** `fedavg-seed1`, `fedavg-2-seed1` for the second entry of the algorithm, `local-seed1-client0`, `local-every-round-seed1-client0`, `pooled-seed1`. */
  readonly name: string;
  readonly kind: CellKind;
  readonly algorithm: AlgorithmSettings;
  readonly seed: number;
  /** The client that trains alone. */
  readonly client: number | null;
  /** What the coordinator runs. */
  readonly run: RunConfig;
  /** Optimiser steps of all clients and rounds together. */
  readonly totalSteps: number;
}

export const HELD_OUT_ID = 'held-out';
const MODEL_ID = 'simulated';
/** No round of a simulation ends by time. */
const NEVER_MS = 1e12;

/** The clients that take part: the first `limit` of them. */
export const takingPart = (config: ExperimentConfig, limit: number | null): number =>
  Math.min(clientsOf(config), limit ?? Number.POSITIVE_INFINITY);

/** Every cell, in the order in which they are run: seed by seed, so that whole comparisons come early. */
export function cellsOf(config: ExperimentConfig, limit: number | null): Cell[] {
  const clients = takingPart(config, limit);
  const drawn = Math.min(config.perRound ?? clients, clients);
  const of = (baseline: Baseline, cells: () => Cell[]) => (config.baselines.includes(baseline) ? cells() : []);
  return config.seeds.flatMap((seed) => {
    const plan = { config, seed, clients, drawn };
    return [
      ...federatedCells(plan),
      ...of('local', () => localCells(plan, 'local')),
      ...of('local-every-round', () => localCells(plan, 'local-every-round')),
      ...of('pooled', () => [pooledCell(plan)]),
    ];
  });
}

interface SeedPlan {
  readonly config: ExperimentConfig;
  readonly seed: number;
  readonly clients: number;
  /** Clients drawn for a round. */
  readonly drawn: number;
}

const PLAIN = algorithmSettings.parse({ id: 'fedavg' });

function federatedCells({ config, seed, clients, drawn }: SeedPlan): Cell[] {
  const counts = new Map<string, number>();
  return config.algorithms.map((algorithm) => {
    const count = (counts.get(algorithm.id) ?? 0) + 1;
    counts.set(algorithm.id, count);
    const name = `${algorithm.id}${count > 1 ? `-${count}` : ''}-seed${seed}`;
    const run = runConfigOf(config, { name, seed, algorithm, participants: clients, drawn });
    const totalSteps = run.rounds * run.steps * drawn;
    return { name, kind: 'federated', algorithm, seed, client: null, run, totalSteps };
  });
}

/** Each client alone: in the rounds for which the federations of the seed draw it, or in every one. */
function localCells({ config, seed, clients, drawn }: SeedPlan, kind: 'local' | 'local-every-round'): Cell[] {
  const { rounds, seeding } = config.run;
  const fair = kind === 'local';
  const trained = fair
    ? roundsDrawn({ seeding, runSeed: seed, rounds, clients, drawn })
    : Array.from({ length: clients }, () => rounds);
  return trained.map((rounds, client) => {
    const name = `${kind}-seed${seed}-client${client}`;
    const algorithm = algorithmSettings.parse({
      id: 'local',
      hyper: { client, rounds: fair && drawn < clients ? 'drawn' : 'every' },
    });
    const run = runConfigOf(config, { name, seed, algorithm, participants: clients, ...(fair && { drawn }) });
    return { name, kind, algorithm: PLAIN, seed, client, run, totalSteps: rounds * run.steps };
  });
}

/** In how many rounds each client is drawn, by ordinal, as `reduce` draws where everyone is there. */
export function roundsDrawn({
  seeding,
  runSeed,
  rounds,
  clients,
  drawn,
}: Pick<SampleSeed, 'seeding' | 'runSeed'> & { rounds: number; clients: number; drawn: number }): number[] {
  const ordinals = Array.from({ length: clients }, (_, ordinal) => ordinal);
  const counts = ordinals.map(() => 0);
  for (let round = 0; round < rounds; round++)
    for (const ordinal of sample(ordinals, drawn, { seeding, runSeed, round, attempt: 0 }))
      counts[ordinal] = (counts[ordinal] ?? 0) + 1;
  return counts;
}

/** One client with everybody's rows, that takes the steps of a round's clients together. */
function pooledCell({ config, seed, drawn }: SeedPlan): Cell {
  const name = `pooled-seed${seed}`;
  const steps = config.run.steps * drawn;
  const run = runConfigOf(config, { name, seed, algorithm: PLAIN, participants: 1, steps });
  return { name, kind: 'pooled', algorithm: PLAIN, seed, client: null, run, totalSteps: run.rounds * steps };
}

/** The settings of the run that a cell is. A live run that differs in name, model id and deadlines alone gives the same adapter. */
function runConfigOf(
  config: ExperimentConfig,
  cell: {
    name: string;
    seed: number;
    algorithm: AlgorithmSettings;
    participants: number;
    steps?: number;
    drawn?: number;
  },
): RunConfig {
  const { name, seed, algorithm, participants, steps = config.run.steps, drawn } = cell;
  const perRound = drawn !== undefined && drawn < participants ? { perRound: drawn } : {};
  return runConfig.parse({
    ...config.run,
    name,
    modelId: MODEL_ID,
    seed,
    algorithm,
    steps,
    // One update is enough for a round: a client whose training diverges is left out, as in a live run after its deadline.
    participants: { min: 1, max: participants, ...perRound },
    roundDeadlineMs: NEVER_MS,
    graceMs: NEVER_MS,
    ...(config.data.heldOut && { evaluationId: HELD_OUT_ID }),
  });
}
