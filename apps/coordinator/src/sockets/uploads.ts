import { crc32 } from 'node:zlib';
import {
  CHUNK_BYTES,
  FlError,
  judgeUpload,
  l2Norm,
  type Rewards,
  type RunState,
  UPLOAD_WINDOW,
  type UploadOpen,
  type UploadTicket,
  type UploadVerdict,
} from '@cotune/fl-core';
import { type BlobStore, hashFile } from '../blobs/blob-store.ts';
import type { PartialFiles } from '../blobs/partial-files.ts';
import { inTurn } from '../in-turn.ts';
import type { RunEngine } from '../run-engine.ts';
import { createBitmapWriter } from '../store/bitmap-writer.ts';
import { type Db, withoutSync } from '../store/database.ts';
import { newId } from '../store/tokens.ts';
import {
  deleteUpload,
  insertUpload,
  openUploadBytes,
  settleUpload,
  type UploadRow,
  uploadById,
  uploadByKey,
} from '../store/uploads.ts';
import { readDelta, requireExpected } from './update-checks.ts';

export interface UploadService {
  open(run: RunEngine, participantId: string, request: UploadOpen): Promise<UploadTicket>;
  chunk(
    participantId: string,
    request: { uploadId: string; index: number; crc32: number },
    bytes: Uint8Array | undefined,
  ): Promise<{ share: number }>;
  commit(run: RunEngine, participantId: string, uploadId: string): Promise<UploadVerdict>;
}

export interface UploadOptions {
  readonly db: Db;
  readonly blobs: BlobStore;
  readonly partials: PartialFiles;
  readonly now: () => number;
  readonly maxOpenUploadBytes: number;
  /** Removes update blobs unless they count. */
  readonly dropUpdates: (sha256s: readonly string[]) => Promise<void>;
  /** Elements of a run's adapter vector. */
  readonly adapterLength: (state: RunState) => Promise<number>;
}

/** Chunks that an upload may send in all, as a multiple of its size: room for retries, not for a flood. */
const RESEND_FACTOR = 4;
/** Files that are hashed and made durable at the same time. */
const DISK_LANES = 4;

/** An upload being received; the bitmap is also in the database, everything else can be lost. */
interface Reception {
  row: UploadRow;
  receivedBytes: number;
  inFlight: number;
  /** Commits that check it: its bytes may not change meanwhile. */
  checks: number;
}

/** Receives adapter updates: chunks to disk at their offset, a bitmap so that nothing is sent twice, checks, one verdict. */
export function createUploads(options: UploadOptions): UploadService {
  const { db, blobs, partials, now, maxOpenUploadBytes, dropUpdates, adapterLength } = options;
  const receptions = new Map<string, Reception>();
  const bitmaps = createBitmapWriter(db, now);
  const underWay = new Map<string, Promise<unknown>>();
  let lane = 0;

  const reception = async (participantId: string, uploadId: string): Promise<Reception> => {
    let found = receptions.get(uploadId);
    if (!found) {
      const row = await uploadById(db, uploadId);
      if (!row) throw new FlError('not-found', 'unknown upload: open it again');
      found = receptions.get(uploadId) ?? { row, receivedBytes: 0, inFlight: 0, checks: 0 };
      if (row.status === 'open') receptions.set(uploadId, found);
    }
    if (found.row.participant_id !== participantId) throw new FlError('forbidden', 'this upload is somebody else’s');
    return found;
  };

  const ticket = (row: UploadRow): UploadTicket => ({
    uploadId: row.upload_id,
    chunkBytes: CHUNK_BYTES,
    window: UPLOAD_WINDOW,
    have: Buffer.from(row.have).toString('base64'),
  });

  const open: UploadService['open'] = async (run, participantId, request) => {
    const state = run.state();
    requireExpected(state, await adapterLength(state), request);
    const { round, attempt, sha256, bytes, examples } = request;
    const verdict = judgeUpload(state, { participantId, round, attempt, sha256 });
    const known = await uploadByKey(db, { run_id: run.runId, round, attempt, participant_id: participantId });
    if (verdict.status === 'rejected') throw new FlError(verdict.code, verdict.message);
    if (verdict.status === 'late')
      throw new FlError('late', `round ${round} has closed; the run is at round ${verdict.round}`);
    if (known?.sha256 === sha256 && (known.status === 'open' || known.status === 'accepted')) return ticket(known);
    if ((await openUploadBytes(db)) + bytes > maxOpenUploadBytes) {
      throw new FlError('busy', 'the coordinator is receiving as much as it may hold: try again in a minute');
    }
    if (known) {
      // The participant trained again, or its first bytes were refused: nothing of the old ones was counted.
      receptions.delete(known.upload_id);
      await deleteUpload(db, known.upload_id);
      await partials.remove(known.upload_id);
    }
    const row: UploadRow = {
      upload_id: newId('up'),
      run_id: run.runId,
      round,
      attempt,
      participant_id: participantId,
      sha256,
      bytes,
      examples,
      loss_nats: request.metrics.lossNats,
      rewards: request.metrics.rewards ? JSON.stringify(request.metrics.rewards) : null,
      have: new Uint8Array(Math.ceil(Math.ceil(bytes / CHUNK_BYTES) / 8)),
      status: 'open',
      code: null,
      message: null,
      updated_at_ms: now(),
    };
    await withoutSync(db, (trx) => insertUpload(trx, row)); // lost in a power cut, it is opened again
    receptions.set(row.upload_id, { row, receivedBytes: 0, inFlight: 0, checks: 0 });
    return ticket(row);
  };

  const service: UploadService = {
    // One at a time for each participant: there is one row for its (round, attempt).
    open: (run, participantId, request) => inTurn(underWay, participantId, () => open(run, participantId, request)),

    async chunk(participantId, { uploadId, index, crc32: expectedCrc }, bytes) {
      const found = await reception(participantId, uploadId);
      const { row } = found;
      if (row.status !== 'open') throw new FlError('wrong-state', `this upload is ${row.status} already`);
      if (found.checks > 0) throw new FlError('wrong-state', 'this upload is complete and being checked');
      if (!bytes) throw new FlError('invalid', 'upload:chunk: got no binary attachment, expected one');
      const chunks = Math.ceil(row.bytes / CHUNK_BYTES);
      if (index >= chunks) throw new FlError('invalid', `chunk ${index}: this upload has chunks 0 to ${chunks - 1}`);
      const expected = Math.min(CHUNK_BYTES, row.bytes - index * CHUNK_BYTES);
      if (bytes.byteLength !== expected) {
        const code = bytes.byteLength > expected ? 'too-large' : 'wrong-shape';
        throw new FlError(code, `chunk ${index}: got ${bytes.byteLength} bytes, expected ${expected}`);
      }
      found.receivedBytes += bytes.byteLength;
      if (found.receivedBytes > RESEND_FACTOR * (row.bytes + CHUNK_BYTES)) {
        throw new FlError('busy', `got ${found.receivedBytes} bytes for an upload of ${row.bytes}: open it again`);
      }
      if (found.inFlight >= 2 * UPLOAD_WINDOW)
        throw new FlError('busy', `more than ${2 * UPLOAD_WINDOW} chunks in flight`);
      const actual = crc32(bytes);
      if (actual !== expectedCrc)
        throw new FlError('wrong-hash', `chunk ${index}: crc32 is ${actual}, expected ${expectedCrc}`);
      found.inFlight++;
      try {
        await partials.write(uploadId, index * CHUNK_BYTES, bytes);
        row.have[index >> 3] = (row.have[index >> 3] ?? 0) | (1 << (index & 7));
        await bitmaps.save(uploadId, row.have);
      } finally {
        found.inFlight--;
      }
      return { share: countBits(row.have) / chunks };
    },

    async commit(run, participantId, uploadId) {
      const found = await reception(participantId, uploadId);
      const { row } = found;
      const key = { participantId, round: row.round, attempt: row.attempt, sha256: row.sha256 };
      const before = judgeUpload(run.state(), key);
      if (before.status !== 'new') return settle(run, row, before);
      if (row.status === 'rejected') return rejection(run, row.code as FlError['code'], row.message ?? '');
      const chunks = Math.ceil(row.bytes / CHUNK_BYTES);
      const got = countBits(row.have);
      if (got < chunks) throw new FlError('incomplete', `got ${got} of ${chunks} chunks: send the others first`);
      if (found.inFlight > 0) throw new FlError('busy', 'chunks of this upload are still being written: commit again');
      found.checks++;
      return inTurn(underWay, uploadId, () => accept(run, row)).finally(() => {
        found.checks--;
      });
    },
  };

  const rejection = (run: RunEngine, code: FlError['code'], message: string): UploadVerdict => ({
    status: 'rejected',
    code,
    message,
    round: run.state().round,
  });

  /** Writes down a verdict that was reached without counting the update, and forgets its bytes. */
  const settle = async (run: RunEngine, row: UploadRow, verdict: UploadVerdict): Promise<UploadVerdict> => {
    await settleUpload(db, row.upload_id, verdict, now());
    receptions.delete(row.upload_id);
    await partials.remove(row.upload_id);
    if (verdict.status === 'rejected') {
      const { code, message } = verdict;
      await run.dispatch({ type: 'refused', round: row.round, participantId: row.participant_id, code, message });
    }
    return verdict;
  };

  const accept = async (run: RunEngine, row: UploadRow): Promise<UploadVerdict> => {
    const { round, attempt, participant_id: participantId, sha256 } = row;
    const before = judgeUpload(run.state(), { participantId, round, attempt, sha256 });
    if (before.status !== 'new') return settle(run, row, before); // a repetition waited for its turn
    lane = (lane + 1) % DISK_LANES;
    const unlike = await inTurn(underWay, `disk ${lane}`, () => secure(row));
    if (unlike) return settle(run, row, rejection(run, 'wrong-hash', unlike));
    // One at a time: each holds a whole update in memory.
    return inTurn(underWay, 'validation', () => count(run, row));
  };

  /** Checks the hash of a complete file and makes it a blob; returns why it cannot be one. */
  const secure = async ({ upload_id: uploadId, sha256, bytes }: UploadRow): Promise<string | undefined> => {
    // After a crash between moving the file and the event, the bytes are a blob already.
    if (await blobs.find('update', sha256)) return undefined;
    // A power cut may lose bytes that the bitmap has; like damaged ones, they are asked for again.
    const path = partials.path(uploadId);
    const actual = await hashFile(path).catch(() => 'unreadable');
    if (actual !== sha256) return `sha256 is ${actual}, announced was ${sha256}`;
    await blobs.adopt('update', path, sha256, bytes);
    return undefined;
  };

  const count = async (run: RunEngine, row: UploadRow): Promise<UploadVerdict> => {
    const { round, attempt, participant_id: participantId, sha256, bytes, examples } = row;
    try {
      const state = run.state();
      const delta = readDelta(state, await adapterLength(state), await blobs.read(sha256), round);
      const update = {
        participantId,
        blob: { sha256, bytes },
        examples,
        lossNats: row.loss_nats,
        updateNorm: l2Norm(delta),
        ...(row.rewards !== null && { rewards: JSON.parse(row.rewards) as Rewards }),
      };
      const also = (trx: Db) => settleUpload(trx, row.upload_id, { status: 'accepted' }, now());
      await run.dispatch({ type: 'uploaded', round, attempt, update }, { strict: true, also });
      receptions.delete(row.upload_id);
      return { status: 'accepted' };
    } catch (error) {
      if (!(error instanceof FlError) || error.code === 'busy') throw error;
      await dropUpdates([sha256]);
      const late = error.code === 'late';
      return settle(
        run,
        row,
        late ? { status: 'late', round: run.state().round } : rejection(run, error.code, error.message),
      );
    }
  };

  return service;
}

function countBits(bitmap: Uint8Array): number {
  let bits = 0;
  for (const byte of bitmap) for (let b = byte; b !== 0; b &= b - 1) bits++;
  return bits;
}
