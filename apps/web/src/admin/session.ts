import {
  type Ack,
  type AdminCommand,
  type AdminEvent,
  type AdminToServer,
  adminCommands,
  adminEvent,
  type ServerToAdmin,
} from '@cotune/fl-core/protocol';
import { io, type Socket } from 'socket.io-client';
import { z } from 'zod';
import { addListedRuns, applyEvent, applyReplay, initialAdminState, useAdminStore } from '../stores/admin-store.ts';

type Request<C extends AdminCommand> = z.input<(typeof adminCommands)[C]['request']>;
type Reply<C extends AdminCommand> = z.output<(typeof adminCommands)[C]['reply']>;

const ACK_TIMEOUT_MS = 20_000;
const subscription = z.object({ nextSeq: z.number(), replayed: z.array(adminEvent) });

let socket: Socket<ServerToAdmin, AdminToServer> | null = null;
/** Live events that come before the answer to the subscription: they are newer than what it replays. */
let early: AdminEvent[] | null = null;
const { setState: set, getState: get } = useAdminStore;

/** Logs in with the one-time owner token of the address (`#owner=…`) when there is one, else with the browser's session. */
export async function openAdmin(): Promise<void> {
  const token = new URLSearchParams(window.location.hash.slice(1)).get('owner');
  // The token must not stay in the address bar, where it would be bookmarked or shown on a projector.
  if (token) window.history.replaceState(null, '', window.location.pathname);
  if (token && (await logIn(token))) return;
  const response = await fetch('/api/admin/session').catch(() => null);
  if (response?.ok) connect();
  else {
    const unreachable =
      response === null ? 'The coordinator cannot be reached. Check that it runs, then reload.' : null;
    set((state) => ({ login: 'out', loginProblem: state.loginProblem ?? unreachable }));
  }
}

/** True when the coordinator accepted the token. */
export async function logIn(token: string): Promise<boolean> {
  set({ loginProblem: null });
  const response = await fetch('/api/admin/login', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ token }),
  }).catch(() => null);
  if (response?.ok) {
    connect();
    return true;
  }
  const said = z.object({ message: z.string() }).safeParse(await response?.json().catch(() => null));
  const fallback = response ? 'The coordinator did not accept this token.' : 'The coordinator cannot be reached.';
  set({ login: 'out', loginProblem: said.success ? said.data.message : fallback });
  return false;
}

export async function logOut(): Promise<void> {
  await fetch('/api/admin/logout', { method: 'POST' }).catch(() => null);
  socket?.disconnect();
  socket = null;
  set({ ...initialAdminState, login: 'out' });
}

function connect(): void {
  if (socket) return;
  set({ login: 'in', connection: 'connecting' });
  const opened: Socket<ServerToAdmin, AdminToServer> = io('/admin', { transports: ['websocket'] });
  socket = opened;
  opened.on('connect', () => {
    set({ connection: 'online' });
    void refresh();
  });
  opened.on('event', (payload: unknown) => {
    const event = adminEvent.safeParse(payload);
    if (!event.success) return;
    if (early) early.push(event.data);
    else set((state) => applyEvent(state, event.data));
  });
  opened.on('disconnect', (reason) => {
    if (socket !== opened) return;
    set({ connection: 'reconnecting' });
    if (reason === 'io server disconnect') setTimeout(() => opened.connect(), 1000);
  });
  opened.on('connect_error', (error) => {
    const refusal = z.object({ message: z.string() }).safeParse((error as Error & { data?: unknown }).data);
    if (!refusal.success) return set({ connection: 'reconnecting' });
    opened.disconnect();
    socket = null;
    set({ ...initialAdminState, login: 'out', loginProblem: refusal.data.message });
  });
}

/** After a (re)connect: what was missed, and what events do not carry. */
async function refresh(): Promise<void> {
  const held: AdminEvent[] = [];
  early = held;
  try {
    const { nextSeq } = get();
    const subscribed = await emit('events:subscribe', nextSeq > 0 ? { fromSeq: nextSeq } : {});
    const { replayed, nextSeq: next } = subscription.parse(subscribed);
    set((state) => held.reduce(applyEvent, applyReplay(state, replayed, next)));
    if (early === held) early = null;
    const [{ runs }, { models, evaluations }] = await Promise.all([call('runs:list', {}), call('models:list', {})]);
    set((state) => ({ ...addListedRuns(state, runs), loaded: true, models, evaluations }));
  } catch (error) {
    // Nothing may wait for a replay that does not come: live events go on from what is on the screen.
    if (early === held) early = null;
    set({ problem: error instanceof Error ? error.message : String(error) });
  }
}

async function emit(event: keyof AdminToServer, payload: object): Promise<unknown> {
  if (!socket) throw new Error('Not connected to the coordinator.');
  const ack = (await socket
    .timeout(ACK_TIMEOUT_MS)
    .emitWithAck(event as 'runs:list', payload as never)
    .catch(() => {
      throw new Error('The coordinator did not answer in time. Try again.');
    })) as Ack<unknown>;
  if (!ack.ok) throw new Error(ack.message);
  return ack.value;
}

/** Sends a command; its reply is parsed, and a run that it brings goes into the store. Throws an Error with the reason. */
export async function call<C extends AdminCommand>(command: C, payload: Request<C>): Promise<Reply<C>> {
  const reply = adminCommands[command].reply.parse(await emit(command, payload)) as Reply<C>;
  if ('run' in reply) {
    const { run } = reply;
    set((state) => ({ runs: { ...state.runs, [run.runId]: run } }));
  }
  return reply;
}
