import { FlError, type ParticipantTransport } from '@cotune/fl-core';
import type { Ack, ParticipantToServer, ServerToParticipant } from '@cotune/fl-core/protocol';
import type { Socket } from 'socket.io-client';

export type ParticipantSocket = Socket<ServerToParticipant, ParticipantToServer>;

const ACK_TIMEOUT_MS = 20_000;

/** Adapts socket.io-client and fetch to what a participant needs. */
export function socketTransport(socket: ParticipantSocket, origin: string): ParticipantTransport {
  const timed = socket.timeout(ACK_TIMEOUT_MS);
  return {
    request: (event, payload) => timed.emitWithAck(event, payload as never) as Promise<Ack<null>>,
    openUpload: (payload) => timed.emitWithAck('upload:open', payload),
    sendChunk: (payload, chunk) => timed.emitWithAck('upload:chunk', payload, chunk),
    commitUpload: (payload) => timed.emitWithAck('upload:commit', payload),
    progress: (payload) => {
      socket.volatile.emit('progress', payload);
    },
    download: (url, onProgress) => downloadBytes(new URL(url, origin), onProgress),
  };
}

async function downloadBytes(url: URL, onProgress?: (receivedBytes: number) => void): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(url);
  if (!response.ok || !response.body)
    throw new FlError('not-found', `download of ${url.pathname} failed: HTTP ${response.status}`);
  const parts: Uint8Array[] = [];
  let received = 0;
  for await (const part of response.body) {
    parts.push(part);
    received += part.length;
    onProgress?.(received);
  }
  const whole = new Uint8Array(received);
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
