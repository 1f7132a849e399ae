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
  listen: { onWelcome(resumeToken: string): void; onNotice(message: string): void },
): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.on('welcome', (welcome) => {
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
      if (removed) return;
      listen.onNotice(`connection lost (${reason}); reconnecting`);
      // After a disconnect by the server socket.io does not reconnect by itself.
      if (reason === 'io server disconnect') socket.connect();
    });
    socket.on('connect_error', (error) => {
      const data = (error as Error & { data?: { code: FlErrorCode; message: string } }).data;
      // Without data the coordinator is unreachable: socket.io keeps trying. With it, it refused.
      if (data) reject(new FlError(data.code, data.message));
      else listen.onNotice(`cannot reach the coordinator (${error.message}); trying again`);
    });
    socket.connect();
  });
}
