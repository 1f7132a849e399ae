import type { HistogramBin, ParticipantActivity, RejectionGroup } from '@cotune/fl-core';
import type {
  Ack,
  ModelRef,
  Progress,
  Rewards,
  RoundOffer,
  RunConfig,
  RunView,
  UploadOpen,
  UploadTicket,
  UploadVerdict,
  Welcome,
} from '@cotune/fl-core/protocol';
import type { Transfer } from '@cotune/kernels';
import type { ColumnChoice, FileColumn } from './columns.ts';

/** One of the first rows, for the preview. */
export interface PreviewRow {
  readonly line: number;
  /** Of a conversation: the last question and answer before this one, and how many there are. */
  readonly earlier: readonly string[];
  readonly earlierTurns: number;
  readonly prompt: string;
  /** The answer to learn; of a pair the chosen and the rejected one. */
  readonly answers: readonly string[];
  readonly tokens: number;
}

/** Data of the owner, as read in this tab. Nothing of it is ever sent. */
export interface DataReport {
  readonly task: RunConfig['task'];
  readonly name: string;
  readonly bytes: number;
  /** Name of the format of most rows; null when no row could be used. */
  readonly format: string | null;
  /** The columns that the owner chose, for a file whose own names say nothing. */
  readonly columns: ColumnChoice | null;
  readonly preview: readonly PreviewRow[];
  /** Usable examples, or pairs. */
  readonly examples: number;
  readonly rejections: readonly RejectionGroup[];
  readonly rejectedCount: number;
  readonly emptyRows: number;
  /** Rows left out because an identical one came before. */
  readonly duplicates: number;
  /** How often each answer occurs, most often first; null where there are many, or pairs of them. */
  readonly answerCounts: readonly { readonly answer: string; readonly count: number }[] | null;
  readonly tokens: TokenFigures;
}

/** Token lengths of the usable examples (of a pair its longer sequence); `truncated` of them were cut to the run's limit. */
export interface TokenFigures {
  /** Of all that the model reads in one pass, both sequences of a pair. */
  readonly total: number;
  readonly median: number;
  readonly max: number;
  readonly truncated: number;
  readonly histogram: readonly HistogramBin[];
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
  /** Of a step on preference pairs. */
  readonly rewards?: Rewards | undefined;
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
export interface DataSettings extends Pick<RunConfig, 'task' | 'dpo' | 'template' | 'maxSeqLength'> {
  /** Directory URL of the model, whose tokenizer counts the tokens. */
  readonly modelUrl: string;
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
  /** The columns of the file that was read last, for an owner who wants to say which is which. */
  columns(): Promise<readonly FileColumn[]>;
  /** Reads that file again as the chosen columns say (null: as its own names say), and remembers the choice for it. */
  chooseColumns(seat: string, columns: ColumnChoice | null, settings: DataSettings): Promise<DataReport>;
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
