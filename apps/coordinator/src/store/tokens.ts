import { createHash, randomBytes } from 'node:crypto';

/**
 * A new 256-bit secret, base64url with a prefix that says what it is for. Because it is random and long, a plain SHA-256
 * of it is enough at rest: there is nothing to guess that a slow hash would protect.
 */
export function newToken(prefix: 'invite' | 'resume' | 'owner' | 'session'): string {
  return `${prefix}_${randomBytes(32).toString('base64url')}`;
}

/** What the database keeps of a token. */
export function hashToken(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

/** A random public identifier, not a secret: `run_k3v…`. */
export function newId(prefix: 'run' | 'inv' | 'up'): string {
  return `${prefix}_${randomBytes(9).toString('base64url')}`;
}

/**
 * A participant's public identifier. It begins with the place in the order of joining (from 0): updates are summed in the
 * order of these ids, so that a run repeated with the same people in the same order gives the same bits.
 */
export function newParticipantId(ordinal: number): string {
  return `p${String(ordinal).padStart(6, '0')}_${randomBytes(6).toString('base64url')}`;
}
