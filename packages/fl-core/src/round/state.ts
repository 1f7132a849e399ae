import type { FlErrorCode } from '../error.ts';
import type { BlobRef, HeldOutMetrics, Rewards, RoundSummary, RunConfig } from '../protocol/schema.ts';

/** The whole persistent truth of a run; plain JSON, rebuilt by folding its event log through `reduce`. */
export interface RunState {
  readonly runId: string;
  readonly config: RunConfig;
  readonly phase: 'draft' | 'open' | 'running' | 'paused' | 'finished' | 'aborted' | 'failed';
  readonly reason: string | null;
  readonly createdAtMs: number;
  /** Everyone who ever joined, in order of joining; the index is the participant's ordinal. */
  readonly participants: readonly ParticipantState[];
  readonly round: number;
  readonly current: RoundState | null;
  /** Global adapter that the next round starts from. */
  readonly adapter: BlobRef | null;
  /** The adapter that round 0 started from. */
  readonly firstAdapter: BlobRef | null;
  /** What the algorithm carries between rounds (encodeAlgorithmState); null while it carries nothing. */
  readonly algorithmState: StoredBlob | null;
  readonly baseline: HeldOutMetrics | null;
  /** Published rounds. */
  readonly history: readonly RoundSummary[];
}

export interface ParticipantState {
  readonly participantId: string;
  readonly name: string;
  readonly connected: boolean;
  /** When the connection was lost; null while connected. */
  readonly disconnectedAtMs: number | null;
  readonly removed: boolean;
}

/** Content-addressed bytes in the coordinator's blob store. */
export interface StoredBlob {
  readonly sha256: string;
  readonly bytes: number;
}

/** A round in progress. */
export interface RoundState {
  readonly round: number;
  readonly attempt: number;
  readonly phase: 'gathering' | 'training' | 'closing' | 'aggregating' | 'evaluating';
  /** N: everyone who had joined and not been removed when the round began, or when somebody was called in later. */
  readonly clients: number;
  readonly sampled: readonly string[];
  readonly accepted: readonly string[];
  /** Participants that declined or were removed in this attempt. */
  readonly departed: readonly string[];
  readonly updates: readonly AcceptedUpdate[];
  readonly refused: RoundSummary['refused'];
  readonly startedAtMs: number;
  /** Null while gathering. */
  readonly deadlineMs: number | null;
  readonly extended: boolean;
  /** Set when the quorum was reached. */
  readonly graceUntilMs: number | null;
  /** The aggregate while it is being evaluated. */
  readonly candidate: { readonly adapter: BlobRef; readonly algorithmState: StoredBlob | null } | null;
  /** Why the round was extended or tried again, in a sentence. */
  readonly note: string | null;
}

export interface AcceptedUpdate {
  readonly participantId: string;
  readonly blob: StoredBlob;
  readonly examples: number;
  readonly lossNats: number | null;
  readonly updateNorm: number;
  readonly rewards?: Rewards | undefined;
}

/** Facts, written to the log before anything else happens. `atMs` is the coordinator's clock. */
export type RoundEvent = { readonly atMs: number } & (
  | { readonly type: 'opened' }
  | { readonly type: 'joined'; readonly participantId: string; readonly name: string }
  | { readonly type: 'connected'; readonly participantId: string }
  | { readonly type: 'disconnected'; readonly participantId: string }
  | { readonly type: 'removed'; readonly participantId: string; readonly reason: string }
  /** The operator starts the run; the shell makes the initial adapter and reports 'started'. */
  | { readonly type: 'starting' }
  /** The initial adapter exists (made from the run's seed) and, when evaluation is on, the untuned model was evaluated. */
  | { readonly type: 'started'; readonly adapter: BlobRef; readonly baseline: HeldOutMetrics | null }
  | { readonly type: 'accepted'; readonly participantId: string; readonly round: number; readonly attempt: number }
  | {
      readonly type: 'declined';
      readonly participantId: string;
      readonly round: number;
      readonly attempt: number;
      readonly reason: string;
    }
  /** A complete, hash-checked, well-formed, finite update. */
  | { readonly type: 'uploaded'; readonly round: number; readonly attempt: number; readonly update: AcceptedUpdate }
  /** An update that was refused by the shell (malformed, non-finite, wrong shape…). */
  | {
      readonly type: 'refused';
      readonly round: number;
      readonly participantId: string;
      readonly code: FlErrorCode;
      readonly message: string;
    }
  | { readonly type: 'timer'; readonly round: number; readonly attempt: number; readonly timer: 'deadline' | 'grace' }
  | {
      readonly type: 'aggregated';
      readonly round: number;
      readonly adapter: BlobRef;
      readonly algorithmState?: StoredBlob | null;
    }
  /** No aggregate that can be used: a value is not finite, or a blob cannot be read. */
  | { readonly type: 'aggregation-failed'; readonly round: number; readonly reason: string }
  | { readonly type: 'evaluated'; readonly round: number; readonly metrics: HeldOutMetrics | null }
  | { readonly type: 'paused'; readonly reason: string }
  | { readonly type: 'resumed' }
  | { readonly type: 'aborted'; readonly reason: string }
  /** The run cannot go on (the initial adapter cannot be made, the model is gone). */
  | { readonly type: 'failed'; readonly reason: string }
  /** The process restarted: connections are gone, timers and unfinished effects must be issued again. */
  | { readonly type: 'recovered' }
);

/** What the shell must do after an event. Every effect may be repeated after a crash without harm. */
export type Effect =
  | { readonly type: 'start' } // make the initial adapter, evaluate the base, then report 'started'
  | {
      readonly type: 'offer';
      readonly participantId: string;
      readonly round: number;
      readonly attempt: number;
      readonly deadlineMs: number;
    }
  | {
      readonly type: 'timer';
      readonly round: number;
      readonly attempt: number;
      readonly timer: 'deadline' | 'grace';
      readonly atMs: number;
    }
  | {
      readonly type: 'aggregate';
      readonly round: number;
      readonly attempt: number;
      readonly updates: readonly AcceptedUpdate[];
      readonly clients: number;
      readonly adapter: BlobRef;
      readonly algorithmState: StoredBlob | null;
    }
  | { readonly type: 'evaluate'; readonly round: number; readonly adapter: BlobRef }
  | { readonly type: 'publish'; readonly round: number; readonly summary: RoundSummary; readonly adapter: BlobRef }
  | { readonly type: 'disconnect'; readonly participantId: string; readonly reason: string }
  /** The public view changed: tell participants and admins. */
  | { readonly type: 'broadcast' };

export interface Reduced {
  readonly state: RunState;
  readonly effects: readonly Effect[];
}
