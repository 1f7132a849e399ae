import { sha256Hex } from '../protocol/codec.ts';
import type { RoundOffer, UploadOpen } from '../protocol/schema.ts';
import type { ParticipantStorage } from './participant.ts';
import { nextStateKey, stateKey } from './stored-state.ts';

/** A trained update that the coordinator has not answered yet. */
export interface PendingUpdate {
  /** What `upload:open` says. */
  readonly open: UploadOpen;
  /** The global adapter it was trained from. */
  readonly adapterSha256: string;
  /** The encoded update: the delta, and the algorithm's extras behind it. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** What the client carries on after this round (encodeLocalState), kept once the update went into the model; empty when it carries nothing. */
  readonly clientState: Uint8Array<ArrayBuffer>;
}

/** One slot a run, so that storage stays bounded; round and attempt are inside and must match. */
const slot = (runId: string): string => `update/${runId}`;

/** Layout: u32 length of the JSON head, the head, the update, the client state. */
export async function writePending(storage: ParticipantStorage, pending: PendingUpdate): Promise<void> {
  const { open, adapterSha256, bytes, clientState } = pending;
  const head = new TextEncoder().encode(JSON.stringify({ open, adapterSha256 }));
  const record = new Uint8Array(4 + head.length + bytes.length + clientState.length);
  new DataView(record.buffer).setUint32(0, head.length, true);
  record.set(head, 4);
  record.set(bytes, 4 + head.length);
  record.set(clientState, 4 + head.length + bytes.length);
  await storage.set(slot(open.runId), record);
}

/** The stored update of a run; undefined when there is none or its bytes are damaged. */
export async function readPending(storage: ParticipantStorage, runId: string): Promise<PendingUpdate | undefined> {
  const record = await storage.get(slot(runId));
  if (record === undefined || record.length < 4) return undefined;
  const headBytes = new DataView(record.buffer, record.byteOffset, record.byteLength).getUint32(0, true);
  try {
    const head = JSON.parse(new TextDecoder().decode(record.subarray(4, 4 + headBytes))) as Pick<
      PendingUpdate,
      'open' | 'adapterSha256'
    >;
    const end = 4 + headBytes + head.open.bytes;
    const bytes = record.slice(4 + headBytes, end);
    if (sha256Hex(bytes) !== head.open.sha256) return undefined;
    return { ...head, bytes, clientState: record.slice(end) };
  } catch {
    return undefined; // a torn write: train again
  }
}

export const clearPending = (storage: ParticipantStorage, runId: string): Promise<void> => storage.delete(slot(runId));

/** Whether a stored update answers this offer. */
export const answers = (pending: PendingUpdate, offer: RoundOffer): boolean =>
  pending.open.runId === offer.runId &&
  pending.open.round === offer.round &&
  pending.open.attempt === offer.attempt &&
  pending.adapterSha256 === offer.adapter.sha256;

/** The adapter of DPO's reference model, as it was downloaded. */
export const referenceKey = (runId: string): string => `reference/${runId}`;

/** Forgets all that is stored of a run, which is over. */
export async function clearRun(storage: ParticipantStorage, runId: string): Promise<void> {
  for (const key of [slot, stateKey, nextStateKey, referenceKey]) await storage.delete(key(runId));
}
