import { FlError, type FlErrorCode } from '../error.ts';
import { decodeBitmap } from '../protocol/codec.ts';
import { crc32 } from '../protocol/crc32.ts';
import type { Ack } from '../protocol/events.ts';
import type { UploadOpen, UploadTicket, UploadVerdict } from '../protocol/schema.ts';
import type { ParticipantTransport } from './participant.ts';
import { backoffMs, orAborted, type Patience } from './retry.ts';

export interface UploadJob extends Patience {
  readonly transport: ParticipantTransport;
  readonly open: UploadOpen;
  readonly bytes: Uint8Array;
  onSent(sentBytes: number): void;
}

/** Refusals that another try may cure: a damaged or forgotten chunk, a coordinator that is busy or just restarted. */
const CURABLE: ReadonlySet<FlErrorCode> = new Set(['busy', 'internal', 'wrong-hash', 'incomplete', 'not-found']);
/** Curable refusals in a row, without a chunk written between them, before giving up (`busy` and silence do not count). */
const PATIENCE = 5;

/**
 * Sends an update and returns the coordinator's verdict. After a lost connection or an answer that never came it opens
 * the upload again and sends what is missing by `have`; opening, chunks and commit may all be repeated without harm.
 * Rejects only when `signal` aborts.
 */
export async function uploadUpdate(job: UploadJob): Promise<UploadVerdict> {
  let refusals = 0;
  for (let failures = 0; ; failures++) {
    let written = 0;
    const countWritten = (): void => {
      written++;
    };
    try {
      await orAborted(job.online(), job.signal);
      const verdict = await attempt(job, countWritten);
      if (verdict.status !== 'rejected' || !CURABLE.has(verdict.code)) return verdict;
      throw new FlError(verdict.code, verdict.message);
    } catch (error) {
      if (job.signal.aborted) throw error;
      if (written > 0) failures = 0;
      if (error instanceof FlError) {
        if (error.code === 'late') return { status: 'late', round: job.open.round };
        if (written > 0) refusals = 0;
        if (error.code !== 'busy') refusals++;
        if (!CURABLE.has(error.code) || refusals >= PATIENCE) {
          return { status: 'rejected', code: error.code, message: error.message, round: job.open.round };
        }
      }
      await orAborted(job.delay(backoffMs(failures)), job.signal);
    }
  }
}

const granted = <T>(ack: Ack<T>): T => {
  if (!ack.ok) throw new FlError(ack.code, ack.message);
  return ack.value;
};

async function attempt(job: UploadJob, onWritten: () => void): Promise<UploadVerdict> {
  const ticket = granted(await orAborted(job.transport.openUpload(job.open), job.signal));
  await sendMissing(job, ticket, onWritten);
  return granted(await orAborted(job.transport.commitUpload({ uploadId: ticket.uploadId }), job.signal));
}

/** Sends what `have` lacks, `window` chunks at a time; stops at the first that fails. */
async function sendMissing(job: UploadJob, ticket: UploadTicket, onWritten: () => void): Promise<void> {
  const { uploadId, chunkBytes, window, have } = ticket;
  const { bytes } = job;
  const flags = decodeBitmap(have, Math.ceil(bytes.length / chunkBytes));
  const chunkOf = (index: number): Uint8Array => bytes.subarray(index * chunkBytes, (index + 1) * chunkBytes);
  const missing = flags.flatMap((flag, index) => (flag ? [] : [index]));
  let sentBytes = bytes.length - missing.reduce((sum, index) => sum + chunkOf(index).length, 0);
  job.onSent(sentBytes);
  let failed = false;
  const sender = async (): Promise<void> => {
    for (let index = missing.shift(); index !== undefined && !failed; index = missing.shift()) {
      const chunk = chunkOf(index);
      try {
        granted(await orAborted(job.transport.sendChunk({ uploadId, index, crc32: crc32(chunk) }, chunk), job.signal));
      } catch (error) {
        failed = true;
        throw error;
      }
      onWritten();
      sentBytes += chunk.length;
      job.onSent(sentBytes);
    }
  };
  const results = await Promise.allSettled(Array.from({ length: Math.min(window, missing.length) }, sender));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}
