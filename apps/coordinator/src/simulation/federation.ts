import type { RunConfig, RunState, TrainingData } from '@cotune/fl-core';
import type { HeldOutSet } from '../evaluator/measure.ts';
import type { Engine } from './engine.ts';
import type { JobListener } from './virtual-client.ts';

/** A run in this process: its settings, its clients' rows, and whom to tell. */
export interface Federation {
  /** Database, blobs and the clients' own storage: all that resuming needs. */
  readonly dir: string;
  readonly run: RunConfig;
  /** Rows of every participant, in order of joining. */
  readonly clients: readonly TrainingData[];
  readonly engine: Pick<Engine, 'source' | 'host' | 'evaluate' | 'start'>;
  readonly heldOut: HeldOutSet | null;
  /** Ends after the step at hand with a StoppedError. */
  readonly stop: AbortSignal;
  readonly checkpointEveryMs: number;
  onNotice(message: string): void;
  onStep(record: { ordinal: number; round: number; step: number; lossNats: number }): void;
  /** The run began, was taken up again, or published a round; `startSha256` is the first adapter's. */
  onProgress(state: RunState, startSha256: string | null): void;
  onJob?: JobListener | undefined;
}

export interface Federated {
  readonly state: RunState;
  readonly startSha256: string | null;
  /** The last adapter. */
  readonly vector: Float32Array<ArrayBuffer>;
}
