import type { Selectable } from 'kysely';
import type { Db } from './database.ts';
import type { Database } from './schema.ts';
import { hashToken } from './tokens.ts';

export type ParticipantRow = Selectable<Database['participants']>;

export async function insertParticipant(
  db: Db,
  row: { participantId: string; runId: string; name: string; adapter: string; resumeToken: string; atMs: number },
): Promise<void> {
  await db
    .insertInto('participants')
    .values({
      participant_id: row.participantId,
      run_id: row.runId,
      name: row.name,
      adapter: row.adapter,
      resume_sha256: hashToken(row.resumeToken),
      joined_at_ms: row.atMs,
      last_seen_ms: row.atMs,
    })
    .execute();
}

export function participantByResumeToken(db: Db, token: string): Promise<ParticipantRow | undefined> {
  return db.selectFrom('participants').selectAll().where('resume_sha256', '=', hashToken(token)).executeTakeFirst();
}

export function participantById(db: Db, participantId: string): Promise<ParticipantRow | undefined> {
  return db.selectFrom('participants').selectAll().where('participant_id', '=', participantId).executeTakeFirst();
}

export function participantsOfRun(db: Db, runId: string): Promise<ParticipantRow[]> {
  return db
    .selectFrom('participants')
    .selectAll()
    .where('run_id', '=', runId)
    .orderBy('joined_at_ms')
    .orderBy('participant_id')
    .execute();
}

/** Notes that a participant was seen, and on which adapter. */
export async function touchParticipant(db: Db, participantId: string, atMs: number, adapter?: string): Promise<void> {
  await db
    .updateTable('participants')
    .set({ last_seen_ms: atMs, ...(adapter === undefined ? {} : { adapter }) })
    .where('participant_id', '=', participantId)
    .execute();
}
