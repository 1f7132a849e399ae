import { createHash } from 'node:crypto';
import type { Db } from './database.ts';

export interface AuditEntry {
  readonly atMs: number;
  readonly actor: string;
  readonly action: string;
  readonly detail: object;
}

const link = (previous: string, entry: { at_ms: number; actor: string; action: string; detail: string }): string =>
  createHash('sha256')
    .update(JSON.stringify([previous, entry.at_ms, entry.actor, entry.action, entry.detail]))
    .digest('hex');

/** Appends to the audit log; every entry's hash covers the one before it, so a changed or removed row shows. */
export async function appendAudit(db: Db, entry: AuditEntry): Promise<void> {
  if (!db.isTransaction) return db.transaction().execute((trx) => appendAudit(trx, entry));
  const last = await db.selectFrom('audit').select('hash').orderBy('seq', 'desc').limit(1).executeTakeFirst();
  const row = { at_ms: entry.atMs, actor: entry.actor, action: entry.action, detail: JSON.stringify(entry.detail) };
  await db
    .insertInto('audit')
    .values({ ...row, hash: link(last?.hash ?? '', row) })
    .execute();
}

/** Sequence number of the first entry whose hash does not fit, or null when the whole chain holds. */
export async function verifyAudit(db: Db): Promise<number | null> {
  let previous = '';
  for (const row of await db.selectFrom('audit').selectAll().orderBy('seq').execute()) {
    if (row.hash !== link(previous, row)) return row.seq;
    previous = row.hash;
  }
  return null;
}
