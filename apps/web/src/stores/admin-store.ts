import type { AdminEvent, InvitationView, ModelRef, ParticipantView, RunView } from '@cotune/fl-core/protocol';
import { create } from 'zustand';

export interface LogLine {
  readonly seq: number;
  readonly atMs: number;
  readonly runId: string;
  readonly message: string;
}

export interface AdminState {
  /** 'unknown' until the coordinator said whether this browser is logged in. */
  readonly login: 'unknown' | 'out' | 'in';
  readonly loginProblem: string | null;
  readonly connection: 'offline' | 'connecting' | 'online' | 'reconnecting';
  /** True once the first list has come. */
  readonly loaded: boolean;
  readonly runs: Readonly<Record<string, RunView>>;
  readonly participants: Readonly<Record<string, ParticipantView>>;
  readonly invitations: Readonly<Record<string, InvitationView>>;
  readonly models: readonly ModelRef[];
  readonly evaluations: readonly { readonly id: string; readonly title: string; readonly rows: number }[];
  readonly log: readonly LogLine[];
  /** Sequence number of the next event; a reconnect replays from here. */
  readonly nextSeq: number;
  /** The last command that failed. */
  readonly problem: string | null;
}

export const initialAdminState: AdminState = {
  login: 'unknown',
  loginProblem: null,
  connection: 'offline',
  loaded: false,
  runs: {},
  participants: {},
  invitations: {},
  models: [],
  evaluations: [],
  log: [],
  nextSeq: 0,
  problem: null,
};

/** The admin console's data. Only the admin session writes it. */
export const useAdminStore = create<AdminState>(() => initialAdminState);

/** Lines of the event log kept for the screen. */
const MAX_LOG_LINES = 500;

/** The state after a live event; one that was applied before changes nothing. */
export function applyEvent(state: AdminState, event: AdminEvent): AdminState {
  return event.seq < state.nextSeq ? state : { ...applyAny(state, event), nextSeq: event.seq + 1 };
}

/** The state after a subscription: what was missed, or the whole present, whose events all carry the same number. */
export function applyReplay(state: AdminState, replayed: readonly AdminEvent[], nextSeq: number): AdminState {
  return { ...replayed.reduce(applyAny, state), nextSeq };
}

/** The state with the runs of a list that it lacks; what events have told is newer than a list asked for before them. */
export function addListedRuns(state: AdminState, listed: readonly RunView[]): AdminState {
  return { ...state, runs: { ...Object.fromEntries(listed.map((run) => [run.runId, run])), ...state.runs } };
}

function applyAny(state: AdminState, event: AdminEvent): AdminState {
  switch (event.type) {
    case 'run':
      return { ...state, runs: { ...state.runs, [event.run.runId]: event.run } };
    case 'participant':
      return {
        ...state,
        participants: { ...state.participants, [event.participant.participantId]: event.participant },
      };
    case 'progress': {
      const participant = state.participants[event.participantId];
      if (!participant) return state;
      const updated = { ...participant, progress: event.progress, lastSeenMs: event.atMs };
      return { ...state, participants: { ...state.participants, [event.participantId]: updated } };
    }
    case 'log': {
      const { seq, atMs, runId, message } = event;
      return { ...state, log: [...state.log, { seq, atMs, runId, message }].slice(-MAX_LOG_LINES) };
    }
    default:
      return event satisfies never;
  }
}
