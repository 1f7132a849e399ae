import type { ParticipantActivity } from '@cotune/fl-core';
import type { ModelRef, Rewards, RoundSummary, RunView } from '@cotune/fl-core/protocol';
import { create } from 'zustand';
import type { DisclosedItem } from '../participant/disclosure.ts';
import type { GpuVerdict } from '../participant/gpu-verdict.ts';
import type { MemoryEstimate } from '../participant/memory.ts';
import type { FileColumn } from '../trainer/columns.ts';
import type { DataReport, DownloadProgress } from '../trainer/messages.ts';

/** One cause and what can be done about it; `retry` shows a button that starts over. */
export interface JoinProblem {
  readonly title: string;
  readonly cause: string;
  readonly retry: boolean;
}

export interface StorageFinding {
  /** Bytes this browser still grants; null when it does not say. */
  readonly freeBytes: number | null;
  /** False where downloads are kept in memory and lost on reload. */
  readonly persistent: boolean;
}

export type JoinStage =
  | 'loading' // asking what the invitation is for
  | 'preparing' // preflight, data, consent
  | 'active' // downloading the model, then in the run
  | 'ended'; // finished, stopped, removed or failed: see `ending`

export type Ending =
  | { readonly kind: 'finished' }
  | { readonly kind: 'stopped'; readonly how: 'submit' | 'discard' }
  | { readonly kind: 'removed'; readonly reason: string }
  | { readonly kind: 'aborted'; readonly reason: string };

export interface JoinState {
  readonly stage: JoinStage;
  readonly ending: Ending | null;
  /** Ends or blocks what is going on. */
  readonly problem: JoinProblem | null;
  readonly run: RunView | null;
  readonly model: ModelRef | null;
  readonly gpu: GpuVerdict;
  readonly storage: StorageFinding | null;
  readonly memory: MemoryEstimate | null;
  readonly disclosed: readonly DisclosedItem[];
  readonly demoShards: boolean;
  readonly data: DataReport | null;
  readonly dataBusy: boolean;
  readonly dataProblem: string | null;
  /** Columns of the file that was read last, while the owner is asked which is which. */
  readonly columns: readonly FileColumn[] | null;
  readonly resuming: boolean;
  /** Display name used before, if any. */
  readonly seatName: string;
  readonly download: DownloadProgress | null;
  readonly connection: 'offline' | 'connecting' | 'online' | 'reconnecting';
  readonly participantId: string | null;
  readonly activity: ParticipantActivity | null;
  /** When the activity's kind or round last changed (ms since epoch). */
  readonly activitySinceMs: number;
  readonly tokensPerSecond: number;
  /** Of the last step on preference pairs. */
  readonly rewards: Rewards | null;
  readonly rounds: readonly RoundSummary[];
  /** Bytes of accepted updates, by round. */
  readonly sent: Readonly<Record<number, number>>;
  readonly notice: string | null;
  readonly hidden: boolean;
  readonly awake: boolean;
  /** The tuned adapter in this tab, for trying and taking home. */
  readonly result: 'idle' | 'loading' | 'ready';
  readonly samplePrompt: string | null;
}

export const initialJoinState: JoinState = {
  stage: 'loading',
  ending: null,
  problem: null,
  run: null,
  model: null,
  gpu: { state: 'detecting' },
  storage: null,
  memory: null,
  disclosed: [],
  demoShards: false,
  data: null,
  dataBusy: false,
  dataProblem: null,
  columns: null,
  resuming: false,
  seatName: '',
  download: null,
  connection: 'offline',
  participantId: null,
  activity: null,
  activitySinceMs: 0,
  tokensPerSecond: 0,
  rewards: null,
  rounds: [],
  sent: {},
  notice: null,
  hidden: false,
  awake: false,
  result: 'idle',
  samplePrompt: null,
};

/** The participant page's data. Only the session writes it. */
export const useJoinStore = create<JoinState>(() => initialJoinState);

/** What the invitation is for. Throws before it has been read. */
export function invited(): { readonly run: RunView; readonly model: ModelRef } {
  const { run, model } = useJoinStore.getState();
  if (!run || !model) throw new Error('the invitation has not been read yet');
  return { run, model };
}

/** Where the page stands, in one word: for tests, and for the page's title. */
export function pagePhase(state: JoinState): string {
  if (state.problem) return 'failed';
  if (state.stage === 'ended') return state.ending?.kind ?? 'finished';
  if (state.stage !== 'active') return state.stage;
  if (state.activity === null) return state.download ? 'download' : 'connecting';
  return state.activity.kind;
}
