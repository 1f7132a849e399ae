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

/** The Worker of one visit: started when it is first needed, and a new one after it was ended. */
export interface TrainerSlot {
  api(): Remote<TrainerApi>;
  /** The Worker that runs now, without starting one. */
  running(): Remote<TrainerApi> | null;
  end(): void;
}

/** `onBroken` hears of the Worker in use only, never of one that was ended. */
export function trainerSlot(onBroken: (message: string) => void): TrainerSlot {
  let client: TrainerClient | null = null;
  return {
    api() {
      if (client) return client.api;
      const started = startTrainer();
      client = started;
      void started.broken.then((message) => {
        if (client === started) onBroken(message);
      });
      return started.api;
    },
    running: () => client?.api ?? null,
    end() {
      client?.terminate();
      client = null;
    },
  };
}
