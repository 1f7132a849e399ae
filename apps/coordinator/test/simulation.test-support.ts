import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { openDataSource } from '../src/data-source/open.ts';
import { type ExperimentConfigInput, experimentConfig } from '../src/simulation/config.ts';
import { type ExperimentOptions, type ExperimentOutcome, runExperiment } from '../src/simulation/experiment.ts';

/** Where configurations are relative to, and results go; removed after the tests of the file. */
export const root = mkdtempSync(join(tmpdir(), 'cotune-simulation-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

export const LORA = { rank: 4, alpha: 8, dropout: 0.1, targets: ['q_proj' as const, 'down_proj' as const] };
export const CONFIG: ExperimentConfigInput = {
  name: 'test',
  model: 'demo',
  data: { train: [{ from: 'demo', maxRows: 40 }] },
  clients: 3,
  run: { template: 'plain', rounds: 2, steps: 2, batchSize: 4, maxSeqLength: 32, learningRate: 1e-2, lora: LORA },
  algorithms: [{ id: 'fedavg' }],
  seeds: [1],
};

/** Runs CONFIG with these changes into a directory below `root`. */
export function simulate(
  out: string,
  config: Partial<ExperimentConfigInput>,
  options: Partial<ExperimentOptions> = {},
): Promise<ExperimentOutcome> {
  return runExperiment({
    config: experimentConfig.parse({ ...CONFIG, ...config }),
    base: root,
    out: join(root, out),
    clientsLimit: null,
    software: false,
    resume: false,
    stop: new AbortController().signal,
    open: (from) => openDataSource(from, root),
    onNotice() {},
    onCell() {},
    onStep() {},
    ...options,
  });
}
