import { FlError, type InvitationView } from '@cotune/fl-core';
import type { Selectable } from 'kysely';
import type { Db } from './database.ts';
import type { Database } from './schema.ts';
import { hashToken, newId, newToken } from './tokens.ts';

type InvitationRow = Selectable<Database['invitations']>;

export const invitationView = (row: InvitationRow): InvitationView => ({
  invitationId: row.invitation_id,
  runId: row.run_id,
  expiresAtMs: row.expires_at_ms,
  maxUses: row.max_uses,
  uses: row.uses,
  revoked: row.revoked !== 0,
});

/** Makes an invitation; the token is returned this once and never stored. */
export async function createInvitation(
  db: Db,
  request: { runId: string; maxUses: number; expiresAtMs: number },
): Promise<{ token: string; invitation: InvitationView }> {
  const token = newToken('invite');
  const row: InvitationRow = {
    invitation_id: newId('inv'),
    run_id: request.runId,
    token_sha256: hashToken(token),
    expires_at_ms: request.expiresAtMs,
    max_uses: request.maxUses,
    uses: 0,
    revoked: 0,
  };
  await db.insertInto('invitations').values(row).execute();
  return { token, invitation: invitationView(row) };
}

/**
 * The invitation behind a token if it can still be used. Throws FlError 'unauthorized' saying which limit was reached:
 * whoever holds the token may know that.
 */
export async function usableInvitation(db: Db, token: string, nowMs: number): Promise<InvitationRow> {
  const row = await db
    .selectFrom('invitations')
    .selectAll()
    .where('token_sha256', '=', hashToken(token))
    .executeTakeFirst();
  if (!row) throw new FlError('unauthorized', 'unknown invitation: check the link, or ask for a new one');
  if (row.revoked) throw new FlError('unauthorized', 'this invitation was revoked: ask for a new one');
  if (row.expires_at_ms <= nowMs) {
    const expired = new Date(row.expires_at_ms).toISOString();
    throw new FlError('unauthorized', `this invitation expired at ${expired}: ask for a new one`);
  }
  return row;
}

/** Counts one use, in the transaction that makes the participant. Throws FlError 'unauthorized' when none is left. */
export async function takeInvitation(db: Db, token: string, nowMs: number): Promise<InvitationRow> {
  const row = await usableInvitation(db, token, nowMs);
  if (row.uses >= row.max_uses) {
    throw new FlError(
      'unauthorized',
      `this invitation was used ${row.uses} of ${row.max_uses} times: ask for a new one`,
    );
  }
  await db
    .updateTable('invitations')
    .set({ uses: row.uses + 1 })
    .where('invitation_id', '=', row.invitation_id)
    .execute();
  return row;
}

export async function revokeInvitation(db: Db, invitationId: string): Promise<InvitationView | undefined> {
  const row = await db
    .updateTable('invitations')
    .set({ revoked: 1 })
    .where('invitation_id', '=', invitationId)
    .returningAll()
    .executeTakeFirst();
  return row && invitationView(row);
}

export async function invitationsOfRun(db: Db, runId: string): Promise<InvitationView[]> {
  const rows = await db
    .selectFrom('invitations')
    .selectAll()
    .where('run_id', '=', runId)
    .orderBy('invitation_id')
    .execute();
  return rows.map(invitationView);
}
