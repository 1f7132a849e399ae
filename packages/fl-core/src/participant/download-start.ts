import type { Algorithm, AlgorithmState } from '../algorithms/algorithm.ts';
import { FlError } from '../error.ts';
import { decodeVector, sha256Hex } from '../protocol/codec.ts';
import type { BlobRef, RoundOffer } from '../protocol/schema.ts';
import { sharedVectors } from './local-state.ts';
import type { ParticipantStorage, ParticipantTransport } from './participant.ts';
import { referenceKey } from './pending.ts';
import { type Patience, persistently } from './retry.ts';

/** Downloads that do not match their hash before giving up. */
const DOWNLOADS = 3;

/** A blob of an offer, checked. FlError `wrong-hash` when it arrives damaged three times. */
async function downloadBlob(
  what: string,
  ref: BlobRef,
  transport: ParticipantTransport,
  patience: Patience,
  onProgress: (receivedBytes: number) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  let got = '';
  for (let i = 0; i < DOWNLOADS; i++) {
    const bytes = await persistently(patience, () => transport.download(ref.url, onProgress));
    got = sha256Hex(bytes);
    if (got === ref.sha256) return bytes;
  }
  throw new FlError('wrong-hash', `${what} ${ref.url}: got sha256 ${got}, expected ${ref.sha256}`);
}

/** Bytes that an offer's training needs from the coordinator; what is stored here already is not downloaded again. */
export const downloadBytes = ({ adapter, algorithmState, reference }: RoundOffer): number =>
  adapter.bytes + (algorithmState?.bytes ?? 0) + (reference?.bytes ?? 0);

/** What an offer starts from: the global vector (length), what the server shares of its state, and DPO's reference adapter. */
export interface Start {
  readonly weights: Float32Array;
  readonly shared: AlgorithmState['vectors'];
  readonly reference: Float32Array | null;
}

/** Downloads the offer's adapter, the server's state where the algorithm shares it, and the reference where there is one. */
export async function downloadStart(
  offer: RoundOffer,
  algorithm: Algorithm,
  { transport, storage }: { readonly transport: ParticipantTransport; readonly storage: ParticipantStorage },
  patience: Patience,
  onProgress: (receivedBytes: number) => void,
): Promise<Start> {
  const { adapter, algorithmState, reference } = offer;
  let before = 0;
  const get = async (what: string, ref: BlobRef): Promise<Uint8Array<ArrayBuffer>> => {
    const bytes = await downloadBlob(what, ref, transport, patience, (received) => onProgress(before + received));
    before += ref.bytes;
    return bytes;
  };
  const bytes = await get('adapter', adapter);
  const weights = decodeVector(bytes).vector;
  const wanted = algorithmState !== null && (algorithm.shares?.length ?? 0) > 0;
  const state = wanted ? await get('algorithm state', algorithmState) : null;
  const shared = sharedVectors(algorithm, state, weights.length);
  if (reference === null) return { weights, shared, reference: null };
  const known =
    reference.sha256 === adapter.sha256 ? bytes : await storedReference(storage, offer.runId, reference.sha256);
  const referenceBytes = known ?? (await get('reference adapter', reference));
  // It is the same in every round. Where storage is full it is downloaded again.
  if (known === undefined || known === bytes)
    await storage.set(referenceKey(offer.runId), referenceBytes).catch(() => undefined);
  return { weights, shared, reference: decodeVector(referenceBytes).vector };
}

async function storedReference(
  storage: ParticipantStorage,
  runId: string,
  sha256: string,
): Promise<Uint8Array | undefined> {
  const bytes = await storage.get(referenceKey(runId));
  return bytes !== undefined && sha256Hex(bytes) === sha256 ? bytes : undefined;
}
