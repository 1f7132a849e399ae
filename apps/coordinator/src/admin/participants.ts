import type { ParticipantView, Progress } from '@cotune/fl-core';
import type { RunEngine } from '../run-engine.ts';
import type { Db } from '../store/database.ts';
import { type ParticipantRow, participantById, participantsOfRun, touchParticipant } from '../store/participants.ts';
import type { EventStream } from './event-stream.ts';

/** What is known of participants besides the run's state: adapter, last sign of life, live progress. */
export interface ParticipantDirectory {
  seen(participantId: string): void;
  progress(run: RunEngine, participantId: string, progress: Progress): void;
  /** Share of an upload that arrived; null when none is under way. */
  uploaded(run: RunEngine, participantId: string, share: number | null): void;
  views(run: RunEngine): Promise<ParticipantView[]>;
  /** Sends a participant's view to the admins. */
  publish(run: RunEngine, participantId: string): Promise<void>;
}

interface Live {
  lastSeenMs: number;
  progress: Progress | null;
  uploadedShare: number | null;
  publishedMs: number;
}

const UPLOAD_REPORT_INTERVAL_MS = 500;

export function createParticipantDirectory(options: {
  db: Db;
  now: () => number;
  admin: EventStream;
  onError: (error: unknown) => void;
}): ParticipantDirectory {
  const { db, now, admin, onError } = options;
  const live = new Map<string, Live>();
  const liveOf = (participantId: string): Live => {
    let entry = live.get(participantId);
    if (!entry) {
      entry = { lastSeenMs: now(), progress: null, uploadedShare: null, publishedMs: 0 };
      live.set(participantId, entry);
    }
    return entry;
  };

  const view = (run: RunEngine, row: ParticipantRow): ParticipantView => {
    const state = run.state();
    const entry = live.get(row.participant_id);
    const rounds = run.view().rounds;
    const countIn = (list: 'received' | 'refused') =>
      rounds.reduce(
        (sum, round) => sum + round[list].filter((one) => one.participantId === row.participant_id).length,
        0,
      );
    return {
      participantId: row.participant_id,
      runId: row.run_id,
      name: row.name,
      adapter: row.adapter,
      connected: state.participants.some((one) => one.participantId === row.participant_id && one.connected),
      lastSeenMs: entry?.lastSeenMs ?? row.last_seen_ms,
      progress: entry?.progress ?? null,
      uploadedShare: entry?.uploadedShare ?? null,
      contributions: countIn('received'),
      refusals: countIn('refused'),
    };
  };

  const directory: ParticipantDirectory = {
    seen(participantId) {
      liveOf(participantId).lastSeenMs = now();
      touchParticipant(db, participantId, now()).catch(onError);
    },
    progress(_run, participantId, progress) {
      const entry = liveOf(participantId);
      entry.lastSeenMs = now();
      entry.progress = progress;
      admin.push({ type: 'progress', participantId, progress });
    },
    uploaded(run, participantId, share) {
      const entry = liveOf(participantId);
      entry.lastSeenMs = now();
      entry.uploadedShare = share;
      if (share !== null && share < 1 && now() - entry.publishedMs < UPLOAD_REPORT_INTERVAL_MS) return;
      entry.publishedMs = now();
      directory.publish(run, participantId).catch(onError);
    },
    async views(run) {
      const rows = await participantsOfRun(db, run.runId);
      return rows.map((row) => view(run, row));
    },
    async publish(run, participantId) {
      const row = await participantById(db, participantId);
      if (row) admin.push({ type: 'participant', participant: view(run, row) });
    },
  };
  return directory;
}
