import {
  CHUNK_BYTES,
  crc32,
  decodeVector,
  encodeVector,
  type RoundOffer,
  sha256Hex,
  type UploadOpen,
  type UploadTicket,
  type UploadVerdict,
  type Welcome,
} from '@cotune/fl-core';
import type { Socket } from 'socket.io-client';
import { type Answer, ask, hello, socketTo } from './harness.ts';

/** A participant that says exactly what a test wants it to say. */
export interface RawParticipant {
  readonly socket: Socket;
  readonly welcome: Welcome;
  /** The latest offer; waits for the first. */
  offer(): Promise<RoundOffer>;
  open(bytes: Uint8Array, overrides?: Partial<UploadOpen>): Promise<Answer>;
  chunk(ticket: UploadTicket, bytes: Uint8Array, index: number, overrides?: object): Promise<Answer>;
  commit(ticket: UploadTicket): Promise<Answer>;
  /** Opens, sends what is missing and commits. */
  upload(
    bytes: Uint8Array,
    overrides?: Partial<UploadOpen>,
  ): Promise<UploadVerdict | { code: string; message: string }>;
}

export async function rawParticipant(coordinator: { url: string }, token: string): Promise<RawParticipant> {
  const socket = socketTo(coordinator, '/participant', hello(token));
  let latest: RoundOffer | undefined;
  let arrived: (offer: RoundOffer) => void;
  const first = new Promise<RoundOffer>((resolve) => {
    arrived = resolve;
  });
  socket.on('round:offer', (offer: RoundOffer) => {
    latest = offer;
    arrived(offer);
  });
  const welcome = await new Promise<Welcome>((resolve, reject) => {
    socket.once('welcome', resolve);
    socket.once('connect_error', (error: Error & { data?: object }) => reject(error.data ?? error));
    socket.connect();
  });
  const self: RawParticipant = {
    socket,
    welcome,
    offer: async () => latest ?? first,
    async open(bytes, overrides = {}) {
      const { runId, round, attempt } = await self.offer();
      const metrics = { lossNats: 1, steps: 2, trainingMs: 5 };
      const request = {
        runId,
        round,
        attempt,
        bytes: bytes.length,
        sha256: sha256Hex(bytes),
        dtype: 'f32',
        examples: 10,
        metrics,
      };
      return ask(socket, 'upload:open', { ...request, ...overrides });
    },
    chunk(ticket, bytes, index, overrides = {}) {
      const chunk = bytes.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES);
      return ask(
        socket,
        'upload:chunk',
        { uploadId: ticket.uploadId, index, crc32: crc32(chunk), ...overrides },
        chunk,
      );
    },
    commit: (ticket) => ask(socket, 'upload:commit', { uploadId: ticket.uploadId }),
    async upload(bytes, overrides) {
      const opened = await self.open(bytes, overrides);
      if (!opened.ok) return opened;
      const ticket: UploadTicket = opened.value;
      const have = Buffer.from(ticket.have, 'base64');
      for (let index = 0; index * CHUNK_BYTES < bytes.length; index++) {
        if (((have[index >> 3] ?? 0) >> (index & 7)) & 1) continue;
        const written = await self.chunk(ticket, bytes, index);
        if (!written.ok) return written;
      }
      const answer = await self.commit(ticket);
      return answer.ok ? answer.value : answer;
    },
  };
  return self;
}

/** An encoded update for an offer, of the delta and `extras` vectors more; `change` may spoil its values. */
export async function updateFor(
  coordinator: { url: string },
  offer: RoundOffer,
  change: (delta: Float32Array) => Float32Array = (delta) => delta,
  extras = 0,
): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(`${coordinator.url}${offer.adapter.url}`);
  const { vector } = decodeVector(new Uint8Array(await response.arrayBuffer()));
  const delta = Float32Array.from({ length: vector.length * (1 + extras) }, (_, i) => 0.01 * Math.sin(i));
  return encodeVector(change(delta), { dtype: 'f32', round: offer.round });
}
