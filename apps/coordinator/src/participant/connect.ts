import { FlError, type FlErrorCode, type Participant } from '@cotune/fl-core';
import { type Handshake, PROTOCOL_VERSION } from '@cotune/fl-core/protocol';
import { io } from 'socket.io-client';
import type { ParticipantSocket } from './transport.ts';

/** Opens the participant namespace. `token` is asked again at every reconnect: an invitation first, then the resume token. */
export function connectParticipant(
  origin: string,
  client: Handshake['client'],
  token: () => string,
): ParticipantSocket {
  return io(`${origin}/participant`, {
    transports: ['websocket'],
    autoConnect: false,
    reconnectionDelayMax: 5000,
    auth: (send) => send({ protocol: PROTOCOL_VERSION, token: token(), client } satisfies Handshake),
  });
}

/** Feeds socket events into the participant until it ends; resolves when the run is over, rejects when it was refused. */
export function drive(
  socket: ParticipantSocket,
  participant: Participant,
  listen: {
    onWelcome(resumeToken: string): void;
    onNotice(message: string): void;
    /** Whether a refused handshake can be mended (by another token): then it is tried again at once. */
    onRefused?(code: FlErrorCode): boolean;
  },
): Promise<void> {
  let refusals = 0;
  let over = false;
  /** After a disconnect or a refusal by the server socket.io does not come back by itself. */
  const comeBack = () => {
    setTimeout(() => over || socket.connect(), Math.min(10_000, 500 * 2 ** refusals++));
  };
  return new Promise<void>((resolve, reject) => {
    socket.on('welcome', (welcome) => {
      refusals = 0;
      listen.onWelcome(welcome.resumeToken);
      participant.onWelcome(welcome);
    });
    socket.on('round:offer', (offer) => participant.onOffer(offer));
    socket.on('run:state', (run) => {
      participant.onRunState(run);
      if (run.phase === 'finished') resolve();
      if (run.phase === 'aborted' || run.phase === 'failed') {
        reject(new FlError('wrong-state', `the run was ${run.phase}${run.reason ? `: ${run.reason}` : ''}`));
      }
    });
    let removed = false;
    socket.on('removed', ({ reason }) => {
      removed = true;
      participant.onRemoved(reason);
      reject(new FlError('forbidden', `removed from the run: ${reason}`));
    });
    socket.on('notice', ({ message }) => listen.onNotice(message));
    socket.on('disconnect', (reason) => {
      participant.onDisconnect();
      if (removed || reason === 'io client disconnect') return;
      listen.onNotice(`connection lost (${reason}); reconnecting`);
      if (reason === 'io server disconnect') comeBack();
    });
    socket.on('connect_error', (error) => {
      const data = (error as Error & { data?: { code: FlErrorCode; message: string } }).data;
      // Without data the coordinator is unreachable: socket.io keeps trying. With it, it refused.
      if (!data) return listen.onNotice(`cannot reach the coordinator (${error.message}); trying again`);
      if (listen.onRefused?.(data.code)) return socket.connect();
      if (data.code !== 'busy' && data.code !== 'internal') return reject(new FlError(data.code, data.message));
      listen.onNotice(`${data.message}; trying again`);
      comeBack();
    });
    socket.connect();
  }).finally(() => {
    over = true;
  });
}
