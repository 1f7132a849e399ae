import {
  type Ack,
  createParticipant,
  FlError,
  type LocalTrainer,
  type Participant,
  type ParticipantStorage,
  type ParticipantTransport,
  type RoundOffer,
  type RunConfig,
  rowCount,
  storageSlot,
  type TrainingData,
  type Welcome,
} from '@cotune/fl-core';
import { ModelError, type TrainerHost } from '@cotune/kernels';
import type { BlobStore } from '../blobs/blob-store.ts';
import { taskTrainer } from '../participant/local-trainer.ts';
import { fileStorage } from '../participant/storage.ts';
import type { RunEngine } from '../run-engine.ts';
import type { UploadService } from '../sockets/uploads.ts';

/** How one client trained one round, enough to train it again elsewhere. */
export type TrainingJob = Omit<Parameters<LocalTrainer['train']>[0], 'signal' | 'onStep' | 'rule'> & {
  readonly round: number;
  readonly ordinal: number;
};

/** Told before a client trains, of what it does on which rows. */
export type JobListener = (job: TrainingJob, data: TrainingData) => Promise<void>;

/** What all clients of a cell share: the coordinator at the other end, the device, and how to end. */
export interface ClientSurroundings {
  readonly run: RunEngine;
  readonly blobs: Pick<BlobStore, 'read'>;
  readonly uploads: UploadService;
  readonly host: TrainerHost;
  readonly now: () => number;
  /** Ends training after the step at hand. */
  readonly stop: AbortSignal;
  /** Least time between two checkpoints of a training under way; a shorter training writes none. */
  readonly checkpointEveryMs: number;
  /** The simulation cannot go on; from then on nothing more is written down. */
  fail(error: unknown): void;
  failed(): boolean;
  onNotice(message: string): void;
  onJob?: JobListener | undefined;
  onStep(record: { ordinal: number; round: number; step: number; lossNats: number }): void;
}

/** A participant without a socket: the same logic as in a tab, on rows of its own. */
export interface VirtualClient {
  readonly participant: Participant;
  /** Resolves when the device is free for the next client; the upload may still be on its way. */
  offer(offer: RoundOffer): Promise<void>;
  /** Resolves when nothing of the offered round is left to do. */
  settled(): Promise<void>;
  /** Gives up what is under way; resolves when the device is free. */
  close(): Promise<void>;
}

/** A simulation was asked to stop; the same command goes on from there. */
export class StoppedError extends Error {
  constructor() {
    super('stopped');
    this.name = 'StoppedError';
  }
}

interface Work {
  free(): void;
  end(): void;
  /** Resolves when the device is free, at the end at the latest. */
  readonly freed: Promise<void>;
  readonly ended: Promise<void>;
}

function newWork(): Work {
  let free = () => {};
  let finish = () => {};
  const freed = new Promise<void>((resolve) => {
    free = resolve;
  });
  const ended = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const end = () => {
    finish();
    free();
  };
  return { free: () => free(), end, freed, ended };
}

export function virtualClient(
  own: { readonly participantId: string; readonly ordinal: number; readonly data: TrainingData; readonly dir: string },
  around: ClientSurroundings,
): VirtualClient {
  const { participantId, ordinal, data, dir } = own;
  const { run, stop, onNotice } = around;
  const { config } = run.state();
  const storage = failing(fileStorage(dir), around.fail);
  const checkpoints = storageSlot(storage, 'checkpoint');
  let round = 0;
  let work: Work | null = null;
  const { trainer, idle } = clientTrainer({ ...own, config, checkpoints }, around, {
    round: () => round,
    free: () => work?.free(),
  });
  const participant = createParticipant({
    trainer,
    storage,
    transport: directTransport(participantId, around),
    examples: rowCount(data),
    now: around.now,
    onActivity(activity) {
      if (activity.kind === 'uploaded') {
        const { verdict } = activity;
        if (verdict.status === 'accepted') void checkpoints.delete().catch(() => undefined);
        else declined(verdict.status === 'late' ? 'the update came late' : verdict.message);
      }
      if (activity.kind === 'failed' && !stop.aborted)
        onNotice(`client ${ordinal}, round ${round + 1}: ${activity.message}`);
      if (activity.kind !== 'training' && activity.kind !== 'downloading' && activity.kind !== 'uploading') work?.end();
    },
  });
  /** An update that does not count would be waited for until the deadline, and here there is none. */
  const declined = (reason: string) => {
    if (around.failed()) return;
    const { attempt } = run.state().current ?? { attempt: 0 };
    onNotice(`client ${ordinal}, round ${round + 1}: the update was not taken: ${reason}`);
    run.dispatch({ type: 'declined', participantId, round, attempt, reason: reason.slice(0, 300) }).catch(around.fail);
  };
  participant.onWelcome(welcomeOf(participantId, run));

  return {
    participant,
    offer(offer) {
      round = offer.round;
      work = newWork();
      participant.onOffer(offer);
      return work.freed;
    },
    settled: async () => work?.ended,
    async close() {
      participant.onRemoved('the simulation ends');
      await idle();
    },
  };
}

const welcomeOf = (participantId: string, run: RunEngine): Welcome => ({
  runId: run.runId,
  participantId,
  resumeToken: '',
  run: run.view(),
  model: { id: run.state().config.modelId, title: '', url: '', bytes: 0, parameters: 0, allowSoftware: true },
});

/** Trains for a client, and makes known what no client is to blame for. `idle` resolves when nothing is trained any more. */
function clientTrainer(
  own: Pick<TrainingJob, 'ordinal'> & {
    readonly data: TrainingData;
    readonly config: RunConfig;
    readonly checkpoints: Slot;
  },
  { host, stop, fail, now, checkpointEveryMs, onJob, onNotice, onStep }: ClientSurroundings,
  offered: { round(): number; free(): void },
): { readonly trainer: LocalTrainer; idle(): Promise<unknown> } {
  const { ordinal, data, config, checkpoints } = own;
  const engine = taskTrainer(host, data, config, {
    checkpoints: atMostEvery(checkpointEveryMs, checkpoints, now),
    onNotice: (message) => onNotice(`client ${ordinal}: ${message}`),
  });
  let training: Promise<unknown> = Promise.resolve();
  const train: LocalTrainer['train'] = async ({ signal, onStep: onRecord, ...job }) => {
    let steps = 0;
    try {
      await onJob?.({ ...job, round: offered.round(), ordinal }, data);
      const trained = await engine.train({
        ...job,
        signal: AbortSignal.any([signal, stop]),
        onStep(record) {
          steps = record.step;
          onRecord(record);
          onStep({ ordinal, round: offered.round(), step: record.step, lossNats: record.lossNats });
        },
      });
      // What was trained so far is in the checkpoint; a part of a round is never sent.
      if (stop.aborted && steps < job.steps) throw new StoppedError();
      return trained;
    } catch (error) {
      // Divergence is the client's own; everything else would leave it out of a round that it could take part in.
      if (!(error instanceof ModelError && error.code === 'diverged')) fail(error);
      throw error;
    } finally {
      offered.free();
    }
  };
  return {
    trainer: {
      train(job) {
        const trained = train(job);
        training = trained.catch(() => undefined);
        return trained;
      },
    },
    idle: () => training,
  };
}

/** The coordinator's handlers, called as the socket's would be. */
function directTransport(
  participantId: string,
  { run, blobs, uploads, fail, failed }: ClientSurroundings,
): ParticipantTransport {
  const acked = async <T>(work: () => Promise<T>): Promise<Ack<T>> => {
    if (failed()) throw new Error('the simulation has ended');
    try {
      return { ok: true, value: await work() };
    } catch (error) {
      if (error instanceof FlError) return { ok: false, code: error.code, message: error.message };
      fail(error); // a disk that is full, a file that is gone: nothing that trying again would mend
      throw error;
    }
  };
  return {
    request: (event, payload) =>
      acked(async () => {
        const { round, attempt, reason = '' } = payload as { round: number; attempt: number; reason?: string };
        const of = { participantId, round, attempt };
        if (event === 'round:accept') await run.dispatch({ type: 'accepted', ...of }, { strict: true });
        else await run.dispatch({ type: 'declined', ...of, reason }, { strict: true });
        return null;
      }),
    openUpload: (payload) => acked(() => uploads.open(run, participantId, payload)),
    sendChunk: (payload, chunk) =>
      acked(async () => {
        await uploads.chunk(participantId, payload, chunk);
        return null;
      }),
    commitUpload: ({ uploadId }) => acked(() => uploads.commit(run, participantId, uploadId)),
    progress: () => undefined,
    async download(url) {
      try {
        return await blobs.read(url.slice(url.lastIndexOf('/') + 1));
      } catch (error) {
        fail(error);
        throw error;
      }
    },
  };
}

/**
 * In a live run a client whose disk fails leaves the round and others go on; here the disk is everyone's, and the round
 * would not be the one that was asked for. What fails ends the simulation, which then goes on from there.
 */
function failing(storage: ParticipantStorage, fail: (error: unknown) => void): ParticipantStorage {
  const watched = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (error) {
      fail(error);
      throw error;
    }
  };
  return {
    get: (key) => watched(storage.get(key)),
    set: (key, value) => watched(storage.set(key, value)),
    delete: (key) => watched(storage.delete(key)),
  };
}

type Slot = ReturnType<typeof storageSlot>;

function atMostEvery(intervalMs: number, slot: Slot, now: () => number): Slot {
  let lastMs = now();
  return {
    get() {
      lastMs = now();
      return slot.get();
    },
    async set(value) {
      if (now() - lastMs < intervalMs) return;
      await slot.set(value);
      lastMs = now();
    },
    delete: () => slot.delete(),
  };
}
