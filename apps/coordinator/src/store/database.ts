import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Kysely, SqliteDialect, sql } from 'kysely';
import Sqlite from 'libsql';
import { migrate } from './migrations.ts';
import type { Database } from './schema.ts';

/** The database, or a transaction on it: every query takes either. */
export type Db = Kysely<Database>;

/**
 * Opens (and migrates) `cotune.db` in the data directory. WAL with synchronous=FULL: a committed transaction survives
 * both `kill -9` and a power cut. There is one connection, so transactions never interleave.
 */
export async function openDatabase(dataDir: string): Promise<Db> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const path = join(dataDir, 'cotune.db');
  const sqlite = new Sqlite(path);
  const db = new Kysely<Database>({ dialect: new SqliteDialect({ database: sqlite }) });
  try {
    sqlite.pragma('journal_mode = WAL');
    sqlite.pragma('synchronous = FULL');
    sqlite.pragma('busy_timeout = 5000');
    await migrate(db);
  } catch (error) {
    await db.destroy();
    const { code, message } = error as { code?: string; message: string };
    if (code !== 'SQLITE_NOTADB' && code !== 'SQLITE_CORRUPT') throw error;
    throw new Error(`${path} is damaged (${message}): put a backup in its place, or choose another data directory`);
  }
  return db;
}

/**
 * A transaction that survives `kill -9`, and a power cut only once a later ordinary one has committed: it waits for no
 * disk. For what can be asked for again, such as which chunks of an upload came.
 */
export async function withoutSync(db: Db, work: (trx: Db) => Promise<void>): Promise<void> {
  await db.connection().execute(async (one) => {
    await sql`PRAGMA synchronous = NORMAL`.execute(one);
    try {
      await one.transaction().execute(work);
    } finally {
      await sql`PRAGMA synchronous = FULL`.execute(one);
    }
  });
}
