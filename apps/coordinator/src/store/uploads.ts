import type { Selectable } from 'kysely';
import type { Db } from './database.ts';
import type { Database, UploadStatus } from './schema.ts';

export type UploadRow = Selectable<Database['uploads']>;
type UploadKey = Pick<UploadRow, 'run_id' | 'round' | 'attempt' | 'participant_id'>;

// libsql gives blobs back as ArrayBuffer.
const withBitmap = (row: UploadRow): UploadRow => ({ ...row, have: new Uint8Array(row.have) });

export async function uploadByKey(db: Db, key: UploadKey): Promise<UploadRow | undefined> {
  const row = await db
    .selectFrom('uploads')
    .selectAll()
    .where('run_id', '=', key.run_id)
    .where('round', '=', key.round)
    .where('attempt', '=', key.attempt)
    .where('participant_id', '=', key.participant_id)
    .executeTakeFirst();
  return row && withBitmap(row);
}

export async function uploadById(db: Db, uploadId: string): Promise<UploadRow | undefined> {
  const row = await db.selectFrom('uploads').selectAll().where('upload_id', '=', uploadId).executeTakeFirst();
  return row && withBitmap(row);
}

export async function insertUpload(db: Db, row: UploadRow): Promise<void> {
  await db
    .insertInto('uploads')
    .values({ ...row, have: Buffer.from(row.have) })
    .execute();
}

export async function deleteUpload(db: Db, uploadId: string): Promise<void> {
  await db.deleteFrom('uploads').where('upload_id', '=', uploadId).execute();
}

/** Persists which chunks are on disk, so that a restart asks only for the others. */
export async function saveBitmap(db: Db, uploadId: string, have: Uint8Array, atMs: number): Promise<void> {
  const set = { have: Buffer.from(have), updated_at_ms: atMs };
  await db.updateTable('uploads').set(set).where('upload_id', '=', uploadId).execute();
}

/** Records the verdict; an accepted upload never changes again. */
export async function settleUpload(
  db: Db,
  uploadId: string,
  verdict: { status: UploadStatus; code?: string; message?: string },
  atMs: number,
): Promise<void> {
  await db
    .updateTable('uploads')
    .set({ status: verdict.status, code: verdict.code ?? null, message: verdict.message ?? null, updated_at_ms: atMs })
    .where('upload_id', '=', uploadId)
    .where('status', '!=', 'accepted')
    .execute();
}

/** Uploads still open that nothing was written to since `beforeMs`. */
export function staleUploads(db: Db, beforeMs: number): Promise<{ upload_id: string }[]> {
  return db
    .selectFrom('uploads')
    .select('upload_id')
    .where('status', '=', 'open')
    .where('updated_at_ms', '<', beforeMs)
    .execute();
}

/** Bytes promised by uploads that are still open. */
export async function openUploadBytes(db: Db): Promise<number> {
  const row = await db
    .selectFrom('uploads')
    .select((e) => e.fn.sum<number | null>('bytes').as('bytes'))
    .where('status', '=', 'open')
    .executeTakeFirst();
  return Number(row?.bytes ?? 0);
}

export async function openUploadHashes(db: Db): Promise<string[]> {
  const rows = await db.selectFrom('uploads').select('sha256').where('status', '=', 'open').execute();
  return rows.map((row) => row.sha256);
}
