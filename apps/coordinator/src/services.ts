import { FlError, type RunState } from '@cotune/fl-core';
import { adapterLayout } from '@cotune/kernels';
import { createEventStream, type EventStream } from './admin/event-stream.ts';
import { createParticipantDirectory, type ParticipantDirectory } from './admin/participants.ts';
import { type BlobStore, openBlobStore } from './blobs/blob-store.ts';
import { openPartialFiles, type PartialFiles } from './blobs/partial-files.ts';
import type { Clock } from './clock.ts';
import { assets, DEMO_EVALUATION_ID, DEMO_MODEL_ID } from './demo/assets.ts';
import { createEvaluator, type Evaluator } from './evaluator/evaluator.ts';
import { createHeldOutCatalog, type HeldOutCatalog, type HeldOutFile } from './evaluator/held-out.ts';
import { createModelCatalog, type ModelCatalog, type OfferedModel } from './evaluator/model-catalog.ts';
import type { Log } from './log.ts';
import { type Db, openDatabase } from './store/database.ts';
import { lockDataDir } from './store/lock.ts';
import { reserveSequence } from './store/requests.ts';

/** What everything else stands on: storage, catalogues, the engine, the admin stream. Nothing here listens yet. */
export interface Services {
  readonly db: Db;
  readonly blobs: BlobStore;
  readonly partials: PartialFiles;
  readonly models: ModelCatalog;
  readonly heldOut: HeldOutCatalog;
  readonly evaluator: Evaluator;
  readonly admin: EventStream;
  readonly directory: ParticipantDirectory;
  readonly clock: Clock;
  readonly log: Log;
  /** Reports a failure of something that nobody waits for. */
  readonly logError: (what: string) => (error: unknown) => void;
  /** Closes the database and gives the data directory free. */
  close(): Promise<void>;
}

export async function openServices(options: {
  dataDir: string;
  demo: boolean;
  models: readonly OfferedModel[];
  evaluations: readonly HeldOutFile[];
  clock: Clock;
  log: Log;
}): Promise<Services> {
  const { dataDir, demo, clock, log } = options;
  const { now } = clock;
  const logError = (what: string) => (error: unknown) => log.error({ err: error }, what);
  const unlock = await lockDataDir(dataDir);
  const db = await openDatabase(dataDir);
  const blobs = await openBlobStore(db, dataDir, now);
  await blobs.clean();
  const models = createModelCatalog([...(demo ? [demoModel()] : []), ...options.models]);
  const heldOut = createHeldOutCatalog([...(demo ? [demoEvaluation()] : []), ...options.evaluations]);
  const admin = await createEventStream({ reserve: () => reserveSequence(db), now, onError: logError('event stream') });
  return {
    db,
    blobs,
    partials: await openPartialFiles(dataDir),
    models,
    heldOut,
    evaluator: createEvaluator({ models, heldOut, log }),
    admin,
    directory: createParticipantDirectory({ db, now, admin, onError: logError('participant directory') }),
    clock,
    log,
    logError,
    async close() {
      await db.destroy();
      await unlock();
    },
  };
}

/** Elements of a run's adapter vector. Throws FlError 'not-found' when its model is gone. */
export async function adapterLength({ models }: Pick<Services, 'models'>, { config }: RunState): Promise<number> {
  const files = await models.files(config.modelId);
  if (!files) throw new FlError('not-found', `model "${config.modelId}" is not offered here any more`);
  return adapterLayout(files.manifest.architecture, config.lora).length;
}

const demoModel = (): OfferedModel => ({
  id: DEMO_MODEL_ID,
  title: 'Cotune demo model (1 M parameters)',
  dir: assets.demoModel(),
  allowSoftware: true,
});

const demoEvaluation = (): HeldOutFile => ({
  id: DEMO_EVALUATION_ID,
  title: 'Demo: held-out news sentiment',
  file: assets.demoTest(),
});
