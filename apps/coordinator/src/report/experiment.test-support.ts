import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HeldOutMetrics } from '@cotune/fl-core/protocol';
import { afterAll } from 'vitest';
import type { z } from 'zod';
import { cellsOf } from '../simulation/cells.ts';
import { type ExperimentConfigInput, experimentConfig } from '../simulation/config.ts';
import { experimentIdentity } from '../simulation/experiment-record.ts';
import {
  type cellResult,
  EXPERIMENT_FILE,
  experimentRecord,
  METRICS_FILE,
  RESULT_FILE,
  type RoundRecord,
} from '../simulation/records.ts';

export const UNTUNED: HeldOutMetrics = { lossNats: 4, accuracy: 0.1, rows: 20, labelTokens: 40 };

export const NOTE = 'The model was kept: what came is not finite.';

const root = await mkdtemp(join(tmpdir(), 'cotune-report-'));
afterAll(() => rm(root, { recursive: true }));

/** An empty directory, removed after the tests of the file. */
export const newDirectory = (): Promise<string> => mkdtemp(join(root, 'test-'));

/** What a test says of a cell: its held-out loss and accuracy after the last round, and the steps of each client, or how many rounds it has so far, or that it
 * is done without a figure. */
export type Told =
  | {
      readonly loss: number;
      readonly accuracy: number;
      readonly steps?: readonly number[];
      /** Its last rounds, in which clients trained, but the model was kept. */
      readonly kept?: number;
    }
  | { readonly rounds: number }
  | { readonly unmeasured: true };

export const DEFAULTS: ExperimentConfigInput = {
  name: 'test',
  model: 'demo',
  data: { train: [{ from: 'demo' }], heldOut: { from: 'demo-test' } },
  clients: 2,
  run: { rounds: 2 },
  algorithms: [{ id: 'fedavg' }],
  baselines: ['local'],
  seeds: [1, 2],
};

/**
 * Writes a directory as simulations write it, two rounds a cell: after the first the loss is one more than after the last.
 * Cells that are not told are not begun. A round sends 10 bytes up and 20 down for each client that trains.
 */
export async function writeExperiment(
  settings: Partial<ExperimentConfigInput>,
  told: Readonly<Record<string, Told>>,
): Promise<string> {
  const config = experimentConfig.parse({ ...DEFAULTS, ...settings });
  const directory = await newDirectory();
  const cells = cellsOf(config, null);
  const record: z.input<typeof experimentRecord> = {
    config,
    clients_limit: null,
    clients: 2,
    cells: cells.map(({ name }) => name),
    data_sha256: 'd'.repeat(64),
    train_rows: 30,
    held_out_rows: 20,
    weights: 'weights of the test',
    device: 'GPU of the test',
  };
  await writeFile(join(directory, EXPERIMENT_FILE), JSON.stringify(record));
  const identity = experimentIdentity(experimentRecord.parse(record));
  for (const { name, kind, algorithm, seed, client, run } of cells) {
    const one = told[name];
    if (!one) continue;
    const own = join(directory, name);
    await mkdir(own);
    const heldOut = (more: number): HeldOutMetrics =>
      'loss' in one ? { ...UNTUNED, lossNats: one.loss + more, accuracy: one.accuracy } : UNTUNED;
    const done = 'rounds' in one ? one.rounds : 2;
    const kept = 'loss' in one ? (one.kept ?? 0) : 0;
    const rounds = [roundOf(-1, UNTUNED), roundOf(0, heldOut(1)), roundOf(1, heldOut(0))]
      .slice(0, done + 1)
      .map((round) => (round.round >= 2 - kept ? { ...round, held_out: null, kept: true, note: NOTE } : round));
    await writeFile(join(own, METRICS_FILE), rounds.map((round) => `${JSON.stringify(round)}\n`).join(''));
    if ('rounds' in one) continue;
    const result: z.input<typeof cellResult> = {
      ...{ cell: name, kind, algorithm, seed, client, rounds: 2, steps: run.steps, examples: [10, 20] },
      ...{
        untuned: UNTUNED,
        held_out: 'loss' in one ? heldOut(0) : null,
        adapter_sha256: `adapter of ${name}`,
        ...('loss' in one && one.steps && { client_steps: [...one.steps] }),
        ...(kept > 0 && { kept_rounds: kept, kept_note: NOTE }),
        experiment_sha256: identity,
        seconds: 30 * seed,
      },
    };
    await writeFile(join(own, RESULT_FILE), JSON.stringify(result));
  }
  return directory;
}

const roundOf = (round: number, held_out: HeldOutMetrics): RoundRecord => ({
  round,
  learning_rate: round < 0 ? null : 0.01,
  clients: round < 0 ? [] : [0, 1],
  train_loss_nats: round < 0 ? null : 1,
  train_rewards: null,
  held_out,
  bytes_up: round < 0 ? 0 : 20,
  bytes_down: round < 0 ? 0 : 40,
  update_norms: round < 0 ? [] : [1, 1],
  kept: false,
  note: null,
  adapter_sha256: 'a'.repeat(64),
  seconds: 1,
});
