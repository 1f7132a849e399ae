import { type Kysely, sql } from 'kysely';
import type { Database } from './schema.ts';

/** Statements of each schema version, in order; a released entry is never edited, only followed by another. */
const MIGRATIONS: readonly (readonly string[])[] = [
  [
    `CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)`,
    `CREATE TABLE runs (run_id TEXT PRIMARY KEY, config TEXT NOT NULL, created_at_ms INTEGER NOT NULL)`,
    `CREATE TABLE events (run_id TEXT NOT NULL, seq INTEGER NOT NULL, json TEXT NOT NULL, PRIMARY KEY (run_id, seq))`,
    `CREATE TABLE participants (participant_id TEXT PRIMARY KEY, run_id TEXT NOT NULL, name TEXT NOT NULL, adapter TEXT NOT NULL,
      resume_sha256 TEXT NOT NULL UNIQUE, joined_at_ms INTEGER NOT NULL, last_seen_ms INTEGER NOT NULL)`,
    `CREATE INDEX participants_by_run ON participants (run_id)`,
    `CREATE TABLE invitations (invitation_id TEXT PRIMARY KEY, run_id TEXT NOT NULL, token_sha256 TEXT NOT NULL UNIQUE,
      expires_at_ms INTEGER NOT NULL, max_uses INTEGER NOT NULL, uses INTEGER NOT NULL, revoked INTEGER NOT NULL)`,
    `CREATE TABLE uploads (upload_id TEXT PRIMARY KEY, run_id TEXT NOT NULL, round INTEGER NOT NULL, attempt INTEGER NOT NULL,
      participant_id TEXT NOT NULL, sha256 TEXT NOT NULL, bytes INTEGER NOT NULL, examples INTEGER NOT NULL, loss_nats REAL,
      have BLOB NOT NULL, status TEXT NOT NULL, code TEXT, message TEXT, updated_at_ms INTEGER NOT NULL,
      UNIQUE (run_id, round, attempt, participant_id))`,
    `CREATE TABLE blobs (sha256 TEXT PRIMARY KEY, kind TEXT NOT NULL, bytes INTEGER NOT NULL, created_at_ms INTEGER NOT NULL)`,
    `CREATE TABLE accounts (token_sha256 TEXT PRIMARY KEY, role TEXT NOT NULL, created_at_ms INTEGER NOT NULL)`,
    `CREATE TABLE sessions (token_sha256 TEXT PRIMARY KEY, role TEXT NOT NULL, expires_at_ms INTEGER NOT NULL)`,
    `CREATE TABLE admin_requests (request_id TEXT PRIMARY KEY, command TEXT NOT NULL, reply TEXT, created_at_ms INTEGER NOT NULL)`,
    `CREATE TABLE audit (seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
      detail TEXT NOT NULL, hash TEXT NOT NULL)`,
  ],
  [`ALTER TABLE uploads ADD COLUMN rewards TEXT`],
];

/** Brings an older data directory up to date, one transaction a version. Throws when the data are newer than this program. */
export async function migrate(db: Kysely<Database>): Promise<void> {
  const read = await sql<{ user_version: number }>`PRAGMA user_version`.execute(db);
  const current = read.rows[0]?.user_version ?? 0;
  if (current > MIGRATIONS.length) {
    throw new Error(
      `data directory has schema version ${current}, this program knows ${MIGRATIONS.length}: update Cotune`,
    );
  }
  for (let version = current; version < MIGRATIONS.length; version++) {
    await db.transaction().execute(async (trx) => {
      for (const statement of MIGRATIONS[version] ?? []) await sql.raw(statement).execute(trx);
      await sql.raw(`PRAGMA user_version = ${version + 1}`).execute(trx);
    });
  }
}
