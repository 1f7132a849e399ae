import type { RoundOffer } from '../protocol/schema.ts';
import type { ParticipantStorage } from './participant.ts';
import type { PendingUpdate } from './pending.ts';

/** What a client carries on, as it is stored. */
export interface StoredState {
  /** The update after which it stood so; null where an earlier version did not say. */
  readonly updateSha256: string | null;
  /** encodeLocalState. */
  readonly bytes: Uint8Array;
}

/** The state after the client's last update that went into the model and whose state could be stored. */
export const stateKey = (runId: string): string => `state/${runId}`;
/** The one after an update that was accepted, whose round may still end without changing the model. */
export const nextStateKey = (runId: string): string => `next-state/${runId}`;

const SHA256_DIGITS = 64;

/** Layout: sha256 of the update (64 hex digits), the state. */
function recordOf({ open, clientState }: PendingUpdate): Uint8Array {
  const record = new Uint8Array(SHA256_DIGITS + clientState.length);
  record.set(new TextEncoder().encode(open.sha256));
  record.set(clientState, SHA256_DIGITS);
  return record;
}

const updateOf = (record: Uint8Array): string => new TextDecoder().decode(record.subarray(0, SHA256_DIGITS));

/** The client's state; undefined when nothing is stored. */
export async function readState(storage: ParticipantStorage, runId: string): Promise<StoredState | undefined> {
  const record = await storage.get(stateKey(runId));
  if (record === undefined) return undefined;
  const updateSha256 = updateOf(record);
  if (!/^[0-9a-f]{64}$/.test(updateSha256)) return { updateSha256: null, bytes: record };
  return { updateSha256, bytes: record.subarray(SHA256_DIGITS) };
}

/** Makes the state after a stored update the client's. */
export async function keepState(storage: ParticipantStorage, pending: PendingUpdate): Promise<void> {
  if (pending.clientState.length > 0) await storage.set(stateKey(pending.open.runId), recordOf(pending));
}

/** Notes the state after an accepted update, until an offer says what became of that. */
export async function noteNextState(storage: ParticipantStorage, pending: PendingUpdate): Promise<void> {
  if (pending.clientState.length > 0) await storage.set(nextStateKey(pending.open.runId), recordOf(pending));
}

/** Makes the noted state the client's if the offer says that its update went into the model, and drops it otherwise. */
export async function settleNextState(storage: ParticipantStorage, { runId, counted }: RoundOffer): Promise<void> {
  const record = await storage.get(nextStateKey(runId));
  if (record === undefined) return;
  if (updateOf(record) === counted) await storage.set(stateKey(runId), record);
  await storage.delete(nextStateKey(runId));
}
