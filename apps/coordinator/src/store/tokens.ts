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
export function newId(prefix: 'run' | 'p' | 'inv' | 'up'): string {
  return `${prefix}_${randomBytes(9).toString('base64url')}`;
}
