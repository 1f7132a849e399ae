import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HeldOutMetrics, RunConfig } from '@cotune/fl-core/protocol';
import { openDataSource } from '../data-source/open.ts';
import { experimentConfig, experimentRunOf } from '../simulation/config.ts';
import { runExperiment } from '../simulation/experiment.ts';
import { assets, DEMO_PARTICIPANTS } from './assets.ts';

/**
 * What each participant of the demo reaches alone: the `local` cells of a simulation with the run's settings, that is as many
 * optimiser steps with the same seeds, order of rows and learning rates, its own weights carried from round to round.
 *
 * @returns held-out metrics, one a participant
 */
export async function localBaseline(
  config: RunConfig,
  onProgress: (doneSteps: number, totalSteps: number) => void,
): Promise<HeldOutMetrics[]> {
  const shards = Array.from({ length: DEMO_PARTICIPANTS }, (_, i) => assets.demoShard(i + 1));
  const experiment = experimentConfig.parse({
    name: config.name,
    model: 'demo',
    data: { train: shards.map((from) => ({ from, clients: 1 })), heldOut: { from: 'demo-test' } },
    run: { ...experimentRunOf(config), evaluateEveryRounds: config.rounds },
    baselines: ['local'],
    seeds: [config.seed],
  });
  const out = await mkdtemp(join(tmpdir(), 'cotune-alone-'));
  const total = shards.length * config.rounds * config.steps;
  try {
    const { results, failed } = await runExperiment({
      config: experiment,
      base: out,
      out,
      clientsLimit: null,
      software: true,
      resume: false,
      stop: new AbortController().signal,
      open: (from) => openDataSource(from, out),
      onNotice() {},
      onCell() {},
      onStep: (cell, { steps, stepsToCome }) => onProgress(total - stepsToCome - cell.totalSteps + steps, total),
    });
    if (failed[0]) throw new Error(`${failed[0].cell}: ${failed[0].reason}`);
    return results.flatMap(({ held_out }) => held_out ?? []);
  } finally {
    await rm(out, { recursive: true, force: true });
  }
}
