import { algorithmSettings, heldOutMetrics, rewards } from '@cotune/fl-core';
import { z } from 'zod';
import { experimentConfig } from './config.ts';

/**
 * What a simulation writes, and a report reads. One directory for each cell of the experiment (an algorithm or a baseline,
 * with one seed): `metrics.jsonl` grows by a line a round, `result.json` is there once the cell is done.
 */
export const METRICS_FILE = 'metrics.jsonl';
export const RESULT_FILE = 'result.json';
/** At the top of the output directory: the configuration as it was understood, every default filled in. */
export const EXPERIMENT_FILE = 'experiment.json';
/** In a cell's directory while it is under way: what is resumed from. */
export const STATE_DIRECTORY = 'state';
/** In `state`: of which experiment it is. */
export const IDENTITY_FILE = 'experiment.sha256';

const count = z.number().int().nonnegative();

/**
 * What trains in a cell: a federation; one of its clients alone with its own data, in the rounds for which the federation draws it
 * or in every round; or one client with everybody's data.
 */
export const cellKind = z.enum(['federated', 'local', 'local-every-round', 'pooled']);
export type CellKind = z.infer<typeof cellKind>;

/** One line of `metrics.jsonl`. Round −1 is the untuned model. */
export const roundRecord = z.object({
  round: z.number().int().min(-1),
  learning_rate: z.number().nullable(),
  /** Ordinals of the clients that trained. */
  clients: z.array(count),
  /** Mean over the clients, weighted by their examples; nats per label token, for preference pairs per pair. */
  train_loss_nats: z.number().nullable(),
  train_rewards: rewards.nullable(),
  /** null in rounds that are not evaluated. */
  held_out: heldOutMetrics.nullable(),
  /** Encoded updates that went to the server, and adapters and shared state that went to clients. */
  bytes_up: count,
  bytes_down: count,
  update_norms: z.array(z.number()),
  /**
   * The round changed nothing. With clients that trained their updates could not be used, and loss and norms are of updates that were
   * thrown away; without, nobody was drawn, as it is meant for a client alone.
   */
  kept: z.boolean().default(false),
  /** Why the model was kept, or the round tried again, in a sentence. */
  note: z.string().nullable().default(null),
  adapter_sha256: z.string().nullable(),
  seconds: z.number().nonnegative(),
});
export type RoundRecord = z.infer<typeof roundRecord>;

/** `result.json` of a cell. */
export const cellResult = z.object({
  cell: z.string(),
  kind: cellKind,
  /** The federation's; for a baseline that of plain averaging. */
  algorithm: algorithmSettings,
  seed: count,
  /** The client that trained alone; null for others. */
  client: count.nullable(),
  rounds: count,
  /** Optimiser steps that one client takes in a round. */
  steps: count,
  /** Rows each client holds, by ordinal. */
  examples: z.array(count),
  untuned: heldOutMetrics.nullable(),
  held_out: heldOutMetrics.nullable(),
  adapter_sha256: z.string(),
  /** Optimiser steps that each client took in all rounds and that counted, by ordinal; of a client alone that is never drawn 0. */
  client_steps: z.array(count).default([]),
  /** Rounds in which clients trained, but the model was kept, since what they trained could not be used. */
  kept_rounds: count.default(0),
  /** Why, of the last of these. */
  kept_note: z.string().nullable().default(null),
  /** Of the experiment that the cell is one of (`experimentIdentity`); the results of another one are refused. */
  experiment_sha256: z.string().default(''),
  seconds: z.number().nonnegative(),
});
export type CellResult = z.infer<typeof cellResult>;

/** Whether no round at all could be used: the adapter is the untuned one, and its figures say nothing of the algorithm. */
export const hasDiverged = ({ kept_rounds, client_steps }: Pick<CellResult, 'kept_rounds' | 'client_steps'>): boolean =>
  kept_rounds > 0 && client_steps.every((steps) => steps === 0);

/** `experiment.json`. What the same output directory must agree with before it is gone on with, and what ran it. */
export const experimentRecord = z.object({
  config: experimentConfig,
  /** Only the first so many clients take part; null for all. */
  clients_limit: count.nullable(),
  /** Clients that take part. */
  clients: count,
  /** Names of the cells' directories, in the order in which they are run. */
  cells: z.array(z.string()),
  /** Of the tokens, training and held-out, and of what the rows are dealt by. */
  data_sha256: z.string(),
  train_rows: count,
  held_out_rows: count,
  /** Rows that were left out of training, since their prompt is a held-out one. */
  overlapping_rows: count.default(0),
  /** What tells the weights from others under the same name. */
  weights: z.string(),
  /** Of the adapter that every cell starts from, where they do not make their own. */
  adapter_sha256: z.string().optional(),
  /** The GPU that began it. Another one may round in other ways. */
  device: z.string(),
  /** The version of Cotune that began it. */
  cotune: z.string().default(''),
});
export type ExperimentRecord = z.infer<typeof experimentRecord>;
