import type { AlgorithmState } from '../algorithms/algorithm.ts';
import { encodeAlgorithmState } from '../algorithms/state-codec.ts';
import { FlError } from '../error.ts';
import { decodeVector, encodeBitmap, encodeVector, sha256Hex } from '../protocol/codec.ts';
import { crc32 } from '../protocol/crc32.ts';
import type { Ack } from '../protocol/events.ts';
import {
  type Rewards,
  type RoundOffer,
  type RunView,
  runConfig,
  type UploadOpen,
  type UploadVerdict,
  type Welcome,
} from '../protocol/schema.ts';
import type { Rng } from '../rng.ts';
import type { LocalTrainer, OptimizerState, ParticipantStorage, ParticipantTransport } from './participant.ts';

export const CHUNK = 64;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** What the network does with one message: delivered, lost on the way, delivered twice, or its answer lost. */
export type Fate = 'delivered' | 'lost' | 'duplicated' | 'unanswered';

/** The coordinator's end of the wire in memory: it keeps chunks as the real one does and judges the complete update. */
export function fakeCoordinator(fate: (event: string) => Fate = () => 'delivered') {
  const uploads = new Map<string, { open: UploadOpen; bytes: Uint8Array; have: boolean[]; uploadId: string }>();
  const blobs = new Map<string, Uint8Array<ArrayBuffer>>();
  const ok = <T>(value: T): Ack<T> => ({ ok: true, value });
  const no = (code: FlError['code'], message: string): Ack<never> => ({ ok: false, code, message });
  const server = {
    accepted: [] as { open: UploadOpen; bytes: Uint8Array }[],
    requests: [] as { event: string; payload: object }[],
    progress: [] as { atMs: number; step: number; rewards?: Rewards | undefined }[],
    downloads: [] as string[],
    chunksWritten: [] as number[],
    inFlight: 0,
    mostInFlight: 0,
    connected: true,
    /** Overrides the answer to one event once. */
    next: {} as { open?: Ack<never>; chunk?: Ack<never>; commit?: Ack<UploadVerdict>; accept?: Ack<never> },
    /** Called before each chunk is taken. */
    onChunk: undefined as undefined | ((index: number) => void),
    onAccepted: undefined as undefined | ((update: { open: UploadOpen; bytes: Uint8Array }) => void),
    damageDownloads: 0,
    /** What it damages; everything when absent. */
    damageOnly: undefined as undefined | string,
    now: () => 0,
    blob(vector: Float32Array, round: number) {
      const bytes = encodeVector(vector, { dtype: 'f32', round });
      const sha256 = sha256Hex(bytes);
      blobs.set(`/api/adapters/${sha256}`, bytes);
      return { url: `/api/adapters/${sha256}`, sha256, bytes: bytes.length };
    },
    stateBlob(state: AlgorithmState) {
      const bytes = encodeAlgorithmState(state);
      const sha256 = sha256Hex(bytes);
      blobs.set(`/api/states/${sha256}`, bytes);
      return { url: `/api/states/${sha256}`, sha256, bytes: bytes.length };
    },
    updateOf: (i = 0): number[] => [...decodeVector((server.accepted[i] as { bytes: Uint8Array }).bytes).vector],
    eventsOf: (event: string) => server.requests.filter((request) => request.event === event),
    transport: null as unknown as ParticipantTransport,
  };
  async function deliver<T>(event: string, handle: () => Ack<T>): Promise<Ack<T>> {
    await turn();
    if (!server.connected) throw new Error('not connected');
    const what = fate(event);
    if (what === 'lost') throw new Error(`${event}: no answer in time`);
    const answer = handle();
    if (what === 'duplicated') handle();
    await turn();
    if (what === 'unanswered' || !server.connected) throw new Error(`${event}: no answer in time`);
    return answer;
  }
  server.transport = {
    request: (event, payload) =>
      deliver(event, () => {
        server.requests.push({ event, payload });
        const { accept } = server.next;
        if (event !== 'round:accept' || accept === undefined) return ok(null);
        delete server.next.accept;
        return accept;
      }),
    openUpload: (open) =>
      deliver('upload:open', () => {
        server.requests.push({ event: 'upload:open', payload: open });
        if (server.next.open !== undefined) {
          const answer = server.next.open;
          delete server.next.open;
          return answer;
        }
        const key = `${open.runId}/${open.round}/${open.attempt}`;
        const held = uploads.get(key) ?? {
          open,
          bytes: new Uint8Array(open.bytes),
          have: new Array<boolean>(Math.ceil(open.bytes / CHUNK)).fill(false),
          uploadId: `upload-${uploads.size}`,
        };
        if (held.open.sha256 !== open.sha256) return no('duplicate', 'another update of this round');
        uploads.set(key, held);
        return ok({ uploadId: held.uploadId, chunkBytes: CHUNK, window: 3, have: encodeBitmap(held.have) });
      }),
    async sendChunk({ uploadId, index, crc32: expected }, chunk) {
      server.mostInFlight = Math.max(server.mostInFlight, ++server.inFlight);
      try {
        return await deliver('upload:chunk', () => {
          server.onChunk?.(index);
          if (!server.connected) return no('internal', 'gone');
          if (server.next.chunk !== undefined) {
            const answer = server.next.chunk;
            delete server.next.chunk;
            return answer;
          }
          const held = [...uploads.values()].find((one) => one.uploadId === uploadId);
          if (held === undefined) return no('not-found', 'no such upload');
          if (crc32(chunk) !== expected) return no('wrong-hash', 'chunk damaged');
          held.bytes.set(chunk, index * CHUNK);
          held.have[index] = true;
          server.chunksWritten.push(index);
          return ok(null);
        });
      } finally {
        server.inFlight--;
      }
    },
    commitUpload: ({ uploadId }) =>
      deliver('upload:commit', (): Ack<UploadVerdict> => {
        if (server.next.commit !== undefined) {
          const answer = server.next.commit;
          delete server.next.commit;
          return answer;
        }
        const held = [...uploads.values()].find((one) => one.uploadId === uploadId);
        if (held === undefined) return no('not-found', 'no such upload');
        if (held.have.includes(false)) return no('incomplete', 'chunks are missing');
        if (sha256Hex(held.bytes) !== held.open.sha256) return no('wrong-hash', 'not what was announced');
        if (!server.accepted.some((one) => one.open === held.open)) {
          server.accepted.push(held);
          server.onAccepted?.(held);
        }
        return ok({ status: 'accepted' });
      }),
    progress: ({ step, rewards }) => {
      server.progress.push({ atMs: server.now(), step, rewards });
    },
    async download(url, onProgress) {
      await turn();
      if (!server.connected || fate('download') === 'lost') throw new Error('download broke off');
      const bytes = blobs.get(url);
      if (bytes === undefined) throw new FlError('not-found', url);
      onProgress?.(bytes.length);
      server.downloads.push(url);
      if (server.damageDownloads > 0 && url.startsWith(server.damageOnly ?? '/')) {
        server.damageDownloads--;
        const damaged = bytes.slice();
        damaged[25] = (damaged[25] as number) ^ 1;
        return damaged;
      }
      return bytes.slice();
    },
  };
  return server;
}

export function memoryStorage(): ParticipantStorage & { readonly map: Map<string, Uint8Array> } {
  const map = new Map<string, Uint8Array>();
  return {
    map,
    get: async (key) => map.get(key)?.slice(),
    set: async (key, value) => {
      map.set(key, value.slice());
    },
    delete: async (key) => {
      map.delete(key);
    },
  };
}

/**
 * A small model instead of a language model: element i of the vector moves by learningRate × (1 + the example's index)
 * for the element that the example falls on, and by the rule's drift at every step (for such an optimiser the same on
 * gradient and weights). What its optimiser remembers is how far it went (m, of which v is the square); going on from that,
 * it goes half as far again before its first step. Deterministic, sensitive to order length, start, plan, rule and moments.
 */
export function arithmeticTrainer(onStepHook?: (step: number) => Promise<void> | void) {
  const trainer = {
    jobs: [] as { order: readonly number[]; seed: number; start: number[] }[],
    /** AdamW's state at the beginning of each job. */
    optimizers: [] as (OptimizerState | undefined)[],
    async train({ weights, order, steps, batchSize, learningRate, seed, rule, optimizer, signal, onStep }) {
      trainer.jobs.push({ order, seed, start: [...weights] });
      trainer.optimizers.push(optimizer);
      const trained = weights.map((w, i) => w + (optimizer?.m[i] ?? 0) / 2);
      let t = optimizer?.t ?? 0;
      for (let step = 0; step < steps && !signal.aborted; step++) {
        await turn();
        t++;
        for (const row of order.slice(step * batchSize, (step + 1) * batchSize)) {
          const at = row % trained.length;
          trained[at] = (trained[at] as number) + learningRate * (1 + row);
        }
        rule.drift?.forEach((drift, i) => {
          trained[i] = (trained[i] as number) - learningRate * drift;
        });
        onStep({ step: step + 1, lossNats: 4 / (step + 1), gradNorm: 1, tokensPerSecond: 100, ms: 5 });
        await onStepHook?.(step + 1);
      }
      const m = trained.map((w, i) => w - (weights[i] ?? 0));
      return { weights: trained, optimizer: { m, v: m.map((one) => one ** 2), t } };
    },
  } as LocalTrainer & {
    jobs: { order: readonly number[]; seed: number; start: number[] }[];
    optimizers: (OptimizerState | undefined)[];
  };
  return trainer;
}

export const plan: RoundOffer['plan'] = {
  steps: 4,
  batchSize: 5,
  learningRate: 0.25,
  clipNorm: 1,
  weightDecay: 0,
  optimizerState: 'fresh',
  seed: 11,
  seeding: 'run',
  algorithm: { id: 'fedavg', hyper: { weighting: 'examples' } },
};

export function runAt(round: number, change: Partial<RunView> = {}): RunView {
  return {
    runId: 'run',
    config: runConfig.parse({ name: 'x', modelId: 'm', algorithm: { id: 'fedavg' }, lora: {}, participants: {} }),
    phase: 'running',
    reason: null,
    round,
    attempt: 0,
    roundPhase: 'training',
    participants: 1,
    connected: 1,
    adapter: null,
    baseline: null,
    rounds: [],
    createdAtMs: 0,
    ...change,
  };
}

export const welcomeAt = (round: number, change: Partial<RunView> = {}): Welcome => ({
  runId: 'run',
  participantId: 'me',
  resumeToken: 'token',
  run: runAt(round, change),
  model: { id: 'm', title: 'M', url: '/m/', bytes: 1, parameters: 1, allowSoftware: true },
});

/** A network that misbehaves about once in `oneIn` messages. */
export const unreliable = (rng: Rng, oneIn: number) => (): Fate =>
  rng.integer(oneIn) > 0 ? 'delivered' : ((['lost', 'duplicated', 'unanswered'] as const)[rng.integer(3)] ?? 'lost');
