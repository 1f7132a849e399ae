import { readFileSync } from 'node:fs';
import { type RunConfig, runConfig } from '@cotune/fl-core/protocol';
import { assets, DEMO_EVALUATION_ID, DEMO_MODEL_ID, DEMO_PARTICIPANTS } from './assets.ts';

/** The settings of the demo run: demo/demo-run.json on the embedded model and data, FedAvg, starting when everyone is there. */
export function demoRunConfig(overrides: { seed: number; rounds?: number }): RunConfig {
  const settings = JSON.parse(readFileSync(assets.demoRun(), 'utf8')) as Record<string, unknown>;
  return runConfig.parse({
    ...settings,
    name: 'Demo: what does the news mean?',
    modelId: DEMO_MODEL_ID,
    evaluationId: DEMO_EVALUATION_ID,
    algorithm: { id: 'fedavg', hyper: {} },
    participants: { min: DEMO_PARTICIPANTS, max: DEMO_PARTICIPANTS },
    autoStart: true,
    roundDeadlineMs: 10 * 60_000,
    graceMs: 60_000,
    ...overrides,
  });
}
