import type { Algorithm, LocalRule } from '../algorithms/algorithm.ts';
import type { AlgorithmSettings } from '../algorithms/registry.ts';
import type { Ack } from '../protocol/events.ts';
import type {
  Progress,
  Rewards,
  RoundOffer,
  RunView,
  UploadOpen,
  UploadTicket,
  UploadVerdict,
  Welcome,
} from '../protocol/schema.ts';

/** The socket as the participant logic sees it; the app adapts socket.io-client to it. A promise that rejects (no answer in time, connection lost) is tried again by the logic; every promise must settle. */
export interface ParticipantTransport {
  request(event: 'round:accept' | 'round:decline', payload: object): Promise<Ack<null>>;
  openUpload(payload: UploadOpen): Promise<Ack<UploadTicket>>;
  sendChunk(payload: { uploadId: string; index: number; crc32: number }, chunk: Uint8Array): Promise<Ack<null>>;
  commitUpload(payload: { uploadId: string }): Promise<Ack<UploadVerdict>>;
  progress(payload: Progress): void;
  /** Bytes of a content-addressed blob by its relative URL. */
  download(url: string, onProgress?: (receivedBytes: number) => void): Promise<Uint8Array<ArrayBuffer>>;
}

/** What AdamW remembers between steps. */
export interface OptimizerState {
  /** First and second moments, (length) each. */
  readonly m: Float32Array;
  readonly v: Float32Array;
  /** Steps taken. */
  readonly t: number;
}

/** What training left. */
export interface Trained {
  readonly weights: Float32Array;
  /** After the last step; runs that keep it need it. */
  readonly optimizer?: OptimizerState;
}

/** The GPU as the participant logic sees it; the app adapts @cotune/kernels to it. */
export interface LocalTrainer {
  /**
   * Trains from `weights` on its own examples in the given order (indices, steps × batchSize of them).
   * When `signal` aborts, finishes the step at hand and returns what was reached so far.
   */
  train(job: {
    readonly weights: Float32Array;
    readonly order: readonly number[];
    readonly steps: number;
    readonly batchSize: number;
    readonly learningRate: number;
    readonly clipNorm: number;
    readonly weightDecay: number;
    readonly seed: number;
    readonly rule: LocalRule;
    /** The adapter of DPO's reference model; absent where that is the base model alone. */
    readonly reference?: Float32Array;
    /** The optimiser goes on from here; it begins anew where this is absent. */
    readonly optimizer?: OptimizerState;
    readonly signal: AbortSignal;
    onStep(record: {
      step: number;
      lossNats: number;
      gradNorm: number;
      tokensPerSecond: number;
      ms: number;
      /** Of a step on preference pairs. */
      rewards?: Rewards;
    }): void;
  }): Promise<Trained>;
}

/** Small durable storage for what must survive a reload: the resume token, a trained update not yet accepted, what the client carries from round to round. */
export interface ParticipantStorage {
  get(key: string): Promise<Uint8Array | undefined>;
  set(key: string, value: Uint8Array): Promise<void>;
  delete(key: string): Promise<void>;
}

/** What the participant is doing now, for the screen. */
export type ParticipantActivity =
  | { readonly kind: 'waiting'; readonly reason: string }
  | { readonly kind: 'downloading'; readonly receivedBytes: number; readonly totalBytes: number }
  | {
      readonly kind: 'training';
      readonly round: number;
      readonly step: number;
      readonly steps: number;
      readonly lossNats: number | null;
    }
  | { readonly kind: 'uploading'; readonly round: number; readonly sentBytes: number; readonly totalBytes: number }
  | { readonly kind: 'uploaded'; readonly round: number; readonly verdict: UploadVerdict }
  | { readonly kind: 'finished' }
  | { readonly kind: 'removed'; readonly reason: string }
  | { readonly kind: 'failed'; readonly message: string };

/** The client side of a run. Events from the socket go in; it trains, uploads and reports. */
export interface Participant {
  onWelcome(welcome: Welcome): void;
  onOffer(offer: RoundOffer): void;
  onRunState(run: RunView): void;
  onRemoved(reason: string): void;
  onDisconnect(): void;
  /**
   * Finishes the current step and leaves; `submit` uploads what was trained so far, `discard` throws it away and declines
   * the round. Resolves when that is done; offers that come later are ignored. `discard` also ends a `submit` that waits.
   */
  stop(how: 'submit' | 'discard'): Promise<void>;
}

export interface ParticipantOptions {
  readonly trainer: LocalTrainer;
  readonly transport: ParticipantTransport;
  readonly storage: ParticipantStorage;
  /** Number of usable training examples. */
  readonly examples: number;
  readonly now: () => number;
  /** Waits before a retry; setTimeout when absent. */
  readonly delay?: (ms: number) => Promise<void>;
  /** Where algorithms are looked up; ALGORITHMS when absent. */
  readonly algorithmOf?: (settings: AlgorithmSettings) => Algorithm;
  onActivity(activity: ParticipantActivity): void;
  onStep?(record: {
    round: number;
    step: number;
    lossNats: number;
    tokensPerSecond: number;
    /** Of this step, for preference pairs. */
    rewards?: Rewards;
  }): void;
}
