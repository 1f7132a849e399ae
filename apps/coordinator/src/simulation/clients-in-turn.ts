import { join } from 'node:path';
import { FlError, type RoundOffer } from '@cotune/fl-core';
import type { Ending } from './ending.ts';
import type { Federation } from './federation.ts';
import { type ClientSurroundings, type VirtualClient, virtualClient } from './virtual-client.ts';

export type ClientsInTurn = ReturnType<typeof clientsInTurn>;

/** The participants of the run, made when they are first needed. One after another: the next begins when the one before has trained. */
export function clientsInTurn(
  federation: Federation,
  services: Pick<ClientSurroundings, 'run' | 'blobs' | 'uploads' | 'now'>,
  { fail, failed }: Ending,
) {
  const { dir, engine, stop, onNotice, onStep, onJob, checkpointEveryMs } = federation;
  const { run } = services;
  const clients = new Map<string, VirtualClient>();
  const given = new AbortController();
  const hooks = { onNotice, onStep, onJob, checkpointEveryMs, fail, failed };
  const surroundings = { ...services, ...hooks, host: engine.host, stop: AbortSignal.any([stop, given.signal]) };
  let turn: Promise<unknown> = Promise.resolve();
  const clientOf = (participantId: string): VirtualClient => {
    const known = clients.get(participantId);
    if (known) return known;
    const ordinal = run.state().participants.findIndex((one) => one.participantId === participantId);
    const data = federation.clients[ordinal];
    if (!data) throw new FlError('not-found', `no rows for participant ${ordinal} of ${federation.clients.length}`);
    const own = { participantId, ordinal, data, dir: join(dir, 'clients', String(ordinal)) };
    const client = virtualClient(own, surroundings);
    clients.set(participantId, client);
    return client;
  };
  return {
    offer(participantId: string, offer: RoundOffer) {
      turn = turn.then(() => (failed() ? undefined : clientOf(participantId).offer(offer))).catch(fail);
    },
    onRunState() {
      for (const client of clients.values()) client.participant.onRunState(run.view());
    },
    /** Resolves when nothing of the offered rounds is left to do. */
    async settled() {
      for (const client of clients.values()) await client.settled();
    },
    async close() {
      given.abort();
      for (const client of clients.values()) await client.close();
    },
  };
}
