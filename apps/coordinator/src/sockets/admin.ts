import { type AdminCommand, type AdminEvent, FlError } from '@cotune/fl-core';
import type { Namespace, Socket } from 'socket.io';
import { z } from 'zod';
import { COMMANDS, type CommandContext, runCommand } from '../admin/commands.ts';
import type { AdminEventBody, EventStream } from '../admin/event-stream.ts';
import type { Log } from '../log.ts';
import type { Role } from '../store/schema.ts';
import { type EventHandler, guard, on } from './guard.ts';

export interface AdminServices {
  readonly context: CommandContext;
  readonly stream: EventStream;
  /** The role behind a handshake's cookie or token, or undefined. */
  readonly authenticate: (handshake: {
    cookie: string | undefined;
    token: string | undefined;
  }) => Promise<Role | undefined>;
  readonly eventsPerSecond: number;
  readonly now: () => number;
  readonly log: Log;
}

const credentials = z.object({ token: z.string().max(200).optional() });
const subscription = z.object({ fromSeq: z.number().int().nonnegative().optional() });
/** A command is parsed by `runCommand`, after the caller's role was checked. */
const anyObject = z.looseObject({});

/** Commands and the event stream, for whoever has a session or an account token. */
export function serveAdmins(namespace: Namespace, services: AdminServices): void {
  const { authenticate, log } = services;
  namespace.use((socket, next) => {
    const parsed = credentials.safeParse(socket.handshake.auth);
    const token = parsed.success ? parsed.data.token : undefined;
    authenticate({ cookie: socket.handshake.headers.cookie, token }).then(
      (role) => {
        if (role) {
          socket.data.role = role;
          return next();
        }
        const message = 'log in with the owner link, or send an account token';
        next(Object.assign(new Error(message), { data: { code: 'unauthorized', message } }));
      },
      (error: unknown) => {
        log.error({ err: error }, 'admin handshake failed');
        next(Object.assign(new Error('internal'), { data: { code: 'internal', message: 'see the log' } }));
      },
    );
  });
  namespace.on('connection', (socket) => {
    guard(socket as Socket, adminEvents(socket as Socket, services), services);
  });
}

function adminEvents(socket: Socket, { context, stream }: AdminServices): Record<string, EventHandler> {
  const role = socket.data.role as Role;
  const actor = `${role} ${socket.handshake.address}`;
  let unsubscribe: (() => void) | undefined;
  socket.on('disconnect', () => unsubscribe?.());

  const table: Record<string, EventHandler> = {
    'events:subscribe': on(subscription, async ({ fromSeq }) => {
      unsubscribe?.();
      const replayed = (fromSeq === undefined ? null : stream.replay(fromSeq)) ?? (await currentState(context, stream));
      const nextSeq = stream.nextSeq();
      // From here on without a gap: nothing is awaited between reading the stream and following it.
      unsubscribe = stream.subscribe((event) => socket.emit('event', event));
      return { nextSeq, replayed };
    }),
  };
  for (const name of Object.keys(COMMANDS) as AdminCommand[]) {
    table[name] = on(anyObject, (payload) => runCommand(context, { role, actor }, name, payload));
  }
  return table;
}

/** The present as events, for a listener that has seen nothing or too little. They carry the last number given out. */
async function currentState(context: CommandContext, stream: EventStream): Promise<readonly AdminEvent[]> {
  const bodies: AdminEventBody[] = [];
  for (const run of context.runs()) {
    for (const participant of await context.directory.views(run)) bodies.push({ type: 'participant', participant });
  }
  // Runs last and read at once, so that no run event between is lost.
  for (const run of context.runs()) bodies.push({ type: 'run', run: run.view() });
  const seq = Math.max(0, stream.nextSeq() - 1);
  if (bodies.length > 100_000) throw new FlError('too-large', 'too many participants to list at once');
  return bodies.map((body) => ({ ...body, seq, atMs: context.now() }) as AdminEvent);
}
