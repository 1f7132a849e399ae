import { type Remote, wrap } from 'comlink';
import type { TrainerApi } from './messages.ts';

export interface TrainerClient {
  readonly api: Remote<TrainerApi>;
  /** Resolves when the Worker itself broke (its script could not be loaded, or it ran out of memory). */
  readonly broken: Promise<string>;
  terminate(): void;
}

/** Starts the Worker that holds the engine; the engine's code is first loaded here. */
export function startTrainer(): TrainerClient {
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module', name: 'trainer' });
  const broken = new Promise<string>((resolve) => {
    worker.addEventListener('error', (event) => resolve(event.message || 'the training worker could not be started'));
  });
  return { api: wrap<TrainerApi>(worker), broken, terminate: () => worker.terminate() };
}
