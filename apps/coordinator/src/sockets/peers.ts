import type { ServerToParticipant } from '@cotune/fl-core';
import type { Namespace, Socket } from 'socket.io';

export interface ParticipantSocketData {
  participantId: string;
  runId: string;
  resumeToken: string;
}
// The guard replaces socket.io's event dispatch, hence no typed incoming events here.
export type ParticipantSocket = Socket<
  Record<string, never>,
  ServerToParticipant,
  Record<string, never>,
  ParticipantSocketData
>;
export type ParticipantNamespace = Namespace<
  Record<string, never>,
  ServerToParticipant,
  Record<string, never>,
  ParticipantSocketData
>;

/** The participants that are connected now; one socket each. */
export interface Peers {
  /** Makes `socket` the participant's only one; an older one is told that it was replaced, and closed. */
  attach(socket: ParticipantSocket): void;
  /** False when the socket had been replaced already, so that its end means nothing. */
  detach(socket: ParticipantSocket): boolean;
  send<E extends keyof ServerToParticipant>(
    participantId: string,
    event: E,
    ...payload: Parameters<ServerToParticipant[E]>
  ): void;
  toRun<E extends keyof ServerToParticipant>(
    runId: string,
    event: E,
    ...payload: Parameters<ServerToParticipant[E]>
  ): void;
  /** Tells a participant that it was removed, and closes its socket. */
  remove(participantId: string, reason: string): void;
  has(participantId: string): boolean;
  count(): number;
}

export function createPeers(namespace: ParticipantNamespace): Peers {
  const sockets = new Map<string, ParticipantSocket>();
  const dismiss = (socket: ParticipantSocket, reason: string) => {
    socket.emit('removed', { reason });
    socket.disconnect(true);
  };
  return {
    attach(socket) {
      const { participantId, runId } = socket.data;
      const older = sockets.get(participantId);
      sockets.set(participantId, socket);
      void socket.join(`run:${runId}`);
      if (older) dismiss(older, 'this participant was opened elsewhere: the other tab has taken over');
    },
    detach(socket) {
      if (sockets.get(socket.data.participantId) !== socket) return false;
      return sockets.delete(socket.data.participantId);
    },
    send(participantId, event, ...payload) {
      sockets.get(participantId)?.emit(event, ...payload);
    },
    toRun(runId, event, ...payload) {
      namespace.to(`run:${runId}`).emit(event, ...payload);
    },
    remove(participantId, reason) {
      const socket = sockets.get(participantId);
      if (socket) dismiss(socket, reason);
    },
    has: (participantId) => sockets.has(participantId),
    count: () => sockets.size,
  };
}
