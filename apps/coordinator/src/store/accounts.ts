import type { Db } from './database.ts';
import { ROLES, type Role } from './schema.ts';
import { hashToken, newToken } from './tokens.ts';

export const SESSION_LIFETIME_MS = 7 * 86_400_000;

/** Whether `role` may do what asks for `required`. */
export const allows = (role: Role, required: Role): boolean => ROLES.indexOf(role) >= ROLES.indexOf(required);

/** Makes the owner's token when there is none yet, or replaces it (ending every session). Otherwise returns null. */
export async function ownerToken(db: Db, atMs: number, replace: boolean): Promise<string | null> {
  return db.transaction().execute(async (trx) => {
    const existing = await trx
      .selectFrom('accounts')
      .select('token_sha256')
      .where('role', '=', 'owner')
      .executeTakeFirst();
    if (existing && !replace) return null;
    await trx.deleteFrom('accounts').where('role', '=', 'owner').execute();
    await trx.deleteFrom('sessions').execute();
    const token = newToken('owner');
    await trx
      .insertInto('accounts')
      .values({ token_sha256: hashToken(token), role: 'owner', created_at_ms: atMs })
      .execute();
    return token;
  });
}

/** The role behind an account token, or undefined. */
export async function accountRole(db: Db, token: string): Promise<Role | undefined> {
  const row = await db
    .selectFrom('accounts')
    .select('role')
    .where('token_sha256', '=', hashToken(token))
    .executeTakeFirst();
  return row?.role;
}

/** Starts a session and returns its token, which only the caller's cookie keeps. */
export async function createSession(db: Db, role: Role, nowMs: number): Promise<string> {
  await db.deleteFrom('sessions').where('expires_at_ms', '<=', nowMs).execute();
  const token = newToken('session');
  const row = { token_sha256: hashToken(token), role, expires_at_ms: nowMs + SESSION_LIFETIME_MS };
  await db.insertInto('sessions').values(row).execute();
  return token;
}

export async function sessionRole(db: Db, token: string, nowMs: number): Promise<Role | undefined> {
  const row = await db
    .selectFrom('sessions')
    .select('role')
    .where('token_sha256', '=', hashToken(token))
    .where('expires_at_ms', '>', nowMs)
    .executeTakeFirst();
  return row?.role;
}

export async function endSession(db: Db, token: string): Promise<void> {
  await db.deleteFrom('sessions').where('token_sha256', '=', hashToken(token)).execute();
}
