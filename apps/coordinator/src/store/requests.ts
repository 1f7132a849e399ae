import type { Db } from './database.ts';

/** The stored answer to an admin request: its JSON, null when the answer held a secret and was not kept, or undefined. */
export async function storedReply(
  db: Db,
  requestId: string,
): Promise<{ command: string; reply: string | null } | undefined> {
  return db
    .selectFrom('admin_requests')
    .select(['command', 'reply'])
    .where('request_id', '=', requestId)
    .executeTakeFirst();
}

/** Remembers an answer so that repeating the request repeats the answer and not the deed. */
export async function storeReply(
  db: Db,
  request: { requestId: string; command: string; reply: string | null; atMs: number },
): Promise<void> {
  const { requestId, command, reply, atMs } = request;
  await db
    .insertInto('admin_requests')
    .values({ request_id: requestId, command, reply, created_at_ms: atMs })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

const SEQUENCE_BLOCK = 10_000;

/** Reserves the next block of admin event numbers, so that they grow across restarts. Returns its first number. */
export async function reserveSequence(db: Db): Promise<{ first: number; end: number }> {
  return db.transaction().execute(async (trx) => {
    const row = await trx.selectFrom('meta').select('value').where('key', '=', 'admin-seq').executeTakeFirst();
    const first = row ? Number(row.value) : 1;
    const value = String(first + SEQUENCE_BLOCK);
    await trx
      .insertInto('meta')
      .values({ key: 'admin-seq', value })
      .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
      .execute();
    return { first, end: first + SEQUENCE_BLOCK };
  });
}
