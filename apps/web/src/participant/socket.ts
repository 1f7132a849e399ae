import {
  type Ack,
  type Handshake,
  notice,
  type ParticipantToServer,
  PROTOCOL_VERSION,
  type RoundOffer,
  type RunView,
  removed,
  roundOffer,
  runView,
  type ServerToParticipant,
  uploadTicket,
  uploadVerdict,
  type Welcome,
  welcome,
} from '@cotune/fl-core/protocol';
import { io, type Socket } from 'socket.io-client';
import { z } from 'zod';
import type { SocketPort } from '../trainer/messages.ts';

export interface SocketListener {
  onWelcome(welcome: Welcome): void;
  onOffer(offer: RoundOffer): void;
  onRunState(run: RunView): void;
  onRemoved(reason: string): void;
  onNotice(message: string): void;
  onConnection(state: 'connecting' | 'online' | 'reconnecting'): void;
  /** The coordinator refused the handshake; it will not change its mind by itself. */
  onRefused(code: string, message: string): void;
  /** A message that does not match the protocol; the page is older or newer than the coordinator. */
  onMalformed(event: string): void;
}

export interface ParticipantSocket {
  readonly port: SocketPort;
  close(): void;
}

const ACK_TIMEOUT_MS = 20_000;

/** Opens the participant namespace. `token` is asked again for every attempt: first the invitation, later the resume token. */
export function connectParticipant(
  client: Handshake['client'],
  token: () => string,
  listener: SocketListener,
): ParticipantSocket {
  const socket: Socket<ServerToParticipant, ParticipantToServer> = io('/participant', {
    transports: ['websocket'],
    reconnectionDelayMax: 5000,
    auth: (send) => send({ protocol: PROTOCOL_VERSION, token: token(), client } satisfies Handshake),
  });
  listener.onConnection('connecting');
  let closed = false;
  let refusals = 0;
  /** socket.io leaves it to us to come back after the server closed the connection or refused it. */
  const comeBack = () => {
    listener.onConnection('reconnecting');
    setTimeout(() => closed || socket.connect(), Math.min(10_000, 1000 * 2 ** refusals++));
  };
  /** Parses at the door; what does not fit is reported, never passed on. */
  const on = <T>(event: keyof ServerToParticipant, schema: z.ZodType<T>, handle: (value: T) => void) =>
    socket.on(event, (payload: unknown) => {
      const parsed = schema.safeParse(payload);
      if (parsed.success) handle(parsed.data);
      else listener.onMalformed(event);
    });
  on('welcome', welcome, (value) => {
    refusals = 0;
    listener.onConnection('online');
    listener.onWelcome(value);
  });
  on('round:offer', roundOffer, (value) => listener.onOffer(value));
  on('run:state', runView, (value) => listener.onRunState(value));
  on('removed', removed, ({ reason }) => {
    closed = true;
    listener.onRemoved(reason);
    socket.disconnect();
  });
  on('notice', notice, ({ message }) => listener.onNotice(message));
  socket.on('disconnect', (reason) => {
    if (closed) return;
    if (reason === 'io server disconnect') comeBack();
    else listener.onConnection('reconnecting');
  });
  socket.on('connect_error', (error) => {
    const refusal = z
      .object({ code: z.string(), message: z.string() })
      .safeParse((error as Error & { data?: unknown }).data);
    if (!refusal.success) return listener.onConnection('reconnecting');
    const { code, message } = refusal.data;
    // A coordinator that restarts or is overloaded says so; it will let us in later.
    if (code === 'busy' || code === 'internal') comeBack();
    else listener.onRefused(code, message);
  });
  return {
    port: socketPort(socket),
    close() {
      closed = true;
      socket.disconnect();
    },
  };
}

function socketPort(socket: Socket<ServerToParticipant, ParticipantToServer>): SocketPort {
  const timed = socket.timeout(ACK_TIMEOUT_MS);
  return {
    request: async (event, payload) => readAck(z.null(), await timed.emitWithAck(event, payload as never)),
    openUpload: async (payload) => readAck(uploadTicket, await timed.emitWithAck('upload:open', payload)),
    sendChunk: async (payload, chunk) => readAck(z.null(), await timed.emitWithAck('upload:chunk', payload, chunk)),
    commitUpload: async (payload) => readAck(uploadVerdict, await timed.emitWithAck('upload:commit', payload)),
    progress: (payload) => {
      socket.volatile.emit('progress', payload);
    },
  };
}

/** Checks an acknowledgement's value; the participant logic retries what throws. */
function readAck<T>(schema: z.ZodType<T>, ack: Ack<unknown>): Ack<T> {
  return ack.ok ? { ok: true, value: schema.parse(ack.value) } : ack;
}
