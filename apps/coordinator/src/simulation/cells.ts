import { type AlgorithmSettings, algorithmSettings, type RunConfig, runConfig } from '@cotune/fl-core';
import { clientsOf, type ExperimentConfig } from './config.ts';
import type { CellKind } from './records.ts';

/** One training of the experiment, with a directory of its own. */
export interface Cell {
  /** `fedavg-seed1`, `fedavg-2-seed1` for the second entry of the algorithm, `local-seed1-client0`, `pooled-seed1`. */
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
  const plain = algorithmSettings.parse({ id: 'fedavg' });
  const cells: Cell[] = [];
  for (const seed of config.seeds) {
    const add = (
      cell: Pick<Cell, 'name' | 'kind' | 'algorithm'> & { client?: number },
      ran: { algorithm: AlgorithmSettings; participants: number; steps?: number; drawn?: number },
    ) => {
      const run = runConfigOf(config, { name: cell.name, seed, ...ran });
      const trainers = cell.kind === 'federated' ? drawn : 1;
      cells.push({ client: null, seed, ...cell, run, totalSteps: run.rounds * run.steps * trainers });
    };
    const counts = new Map<string, number>();
    for (const algorithm of config.algorithms) {
      const count = (counts.get(algorithm.id) ?? 0) + 1;
      counts.set(algorithm.id, count);
      const name = `${algorithm.id}${count > 1 ? `-${count}` : ''}-seed${seed}`;
      add({ name, kind: 'federated', algorithm }, { algorithm, participants: clients, drawn });
    }
    for (let client = 0; config.baselines.includes('local') && client < clients; client++) {
      const algorithm = algorithmSettings.parse({ id: 'local', hyper: { client } });
      const name = `local-seed${seed}-client${client}`;
      add({ name, kind: 'local', algorithm: plain, client }, { algorithm, participants: clients });
    }
    if (config.baselines.includes('pooled')) {
      const steps = config.run.steps * drawn;
      add(
        { name: `pooled-seed${seed}`, kind: 'pooled', algorithm: plain },
        { algorithm: plain, participants: 1, steps },
      );
    }
  }
  return cells;
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
