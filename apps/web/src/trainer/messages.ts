import type { ParticipantActivity } from '@cotune/fl-core';
import type {
  Ack,
  ModelRef,
  Progress,
  RoundOffer,
  RunConfig,
  RunView,
  UploadOpen,
  UploadTicket,
  UploadVerdict,
  Welcome,
} from '@cotune/fl-core/protocol';
import type { Transfer } from '@cotune/kernels';

/** Data of the owner, as read in this tab. Nothing of it is ever sent. */
export interface DataReport {
  readonly name: string;
  readonly bytes: number;
  readonly format: string;
  /** First rows, for the preview: prompt and response as the model will see them. */
  readonly preview: readonly { readonly prompt: string; readonly response: string; readonly tokens: number }[];
  readonly examples: number;
  readonly rejected: readonly { readonly line: number; readonly reason: string }[];
  readonly rejectedCount: number;
  /** Rows left out because an identical one came before. */
  readonly duplicates: number;
  readonly tokens: TokenFigures;
}

/** Token lengths of the usable examples; `truncated` of them are longer than the run's limit. */
export interface TokenFigures {
  readonly total: number;
  readonly median: number;
  readonly max: number;
  readonly truncated: number;
  /** Counts in equal bins from 0 to `max`. */
  readonly histogram: readonly number[];
}

/** In bytes of the model: what is downloaded, checked again after a break, or on the GPU. */
export interface DownloadProgress extends Transfer {
  readonly file: string;
  readonly stage: 'downloading' | 'verifying' | 'loading';
}

export interface ModelReady {
  readonly adapterLength: number;
  readonly adapterName: string;
  readonly features: readonly string[];
  /** Where the files were put. */
  readonly storage: 'opfs' | 'memory';
}

export interface StepRecord {
  readonly round: number;
  /** Steps done in the round, from 1. */
  readonly step: number;
  readonly lossNats: number;
  readonly tokensPerSecond: number;
}

/** The page's socket, as the Worker sees it (downloads go by fetch from the Worker itself). */
export interface SocketPort {
  request(event: 'round:accept' | 'round:decline', payload: object): Promise<Ack<null>>;
  openUpload(payload: UploadOpen): Promise<Ack<UploadTicket>>;
  sendChunk(payload: { uploadId: string; index: number; crc32: number }, chunk: Uint8Array): Promise<Ack<null>>;
  commitUpload(payload: { uploadId: string }): Promise<Ack<UploadVerdict>>;
  progress(payload: Progress): void;
}

/** What the Worker tells the page. */
export interface TrainerEvents {
  onActivity(activity: ParticipantActivity): void;
  onStep(record: StepRecord): void;
  onDeviceLost(message: string): void;
}

/** What decides how a row becomes tokens. */
export interface DataSettings {
  /** Directory URL of the model, whose tokenizer counts the tokens. */
  readonly modelUrl: string;
  readonly template: RunConfig['template'];
  readonly maxSeqLength: number;
}

export interface GenerateJob {
  /** What the owner asks; the run's template is put around it. */
  readonly prompt: string;
  readonly tuned: boolean;
  readonly maxTokens: number;
  readonly temperature: number;
  readonly seed: number;
}

export interface TrainerApi {
  /** Reads a file (or one kept from an earlier visit) and keeps a copy in this browser's private storage. */
  readData(seat: string, file: File | null, settings: DataSettings): Promise<DataReport | null>;
  /** Downloads what is missing, verifies every hash, opens the GPU and loads the weights. */
  prepare(
    job: { model: ModelRef; config: RunConfig },
    onProgress: (progress: DownloadProgress) => void,
  ): Promise<ModelReady>;
  /** Starts the participant; socket events are then passed on with the methods below. */
  start(seat: string, socket: SocketPort, events: TrainerEvents): Promise<void>;
  welcome(welcome: Welcome): void;
  offer(offer: RoundOffer): void;
  runState(run: RunView): void;
  removed(reason: string): void;
  disconnected(): void;
  stop(how: 'submit' | 'discard'): Promise<void>;
  /** Fetches a global adapter, verifies its hash and keeps it for `generate` and `peft`. */
  loadAdapter(blob: { url: string; sha256: string; bytes: number }): Promise<void>;
  /** Prompt of the first usable example, for the result page. */
  samplePrompt(): string | null;
  /** Continues a prompt with the base model or, with `tuned`, with the loaded adapter; `onText` gets the whole text so far. */
  generate(job: GenerateJob, onText: (text: string) => void): Promise<string>;
  cancelGeneration(): void;
  /** The adapter as a PEFT directory. */
  peft(): Promise<readonly { name: string; bytes: Uint8Array<ArrayBuffer> }[]>;
  /** Forgets this seat's data and pending update. */
  forget(seat: string): Promise<void>;
}
