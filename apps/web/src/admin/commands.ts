import type { InvitationView, RunConfigInput, RunView } from '@cotune/fl-core/protocol';
import { useAdminStore } from '../stores/admin-store.ts';
import { call } from './session.ts';

export { logIn, logOut, openAdmin } from './session.ts';

const set = useAdminStore.setState;
const requestId = () => crypto.randomUUID();

/** Shows a failure in the console instead of losing it. */
async function told<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    set({ problem: null });
    return await work;
  } catch (error) {
    set({ problem: error instanceof Error ? error.message : String(error) });
    return undefined;
  }
}

/** Loads what a run page shows besides the run itself. */
export async function loadRun(runId: string): Promise<void> {
  const reply = await told(call('run:get', { runId }));
  if (!reply) return;
  set((state) => ({
    participants: { ...state.participants, ...Object.fromEntries(reply.participants.map((p) => [p.participantId, p])) },
    invitations: { ...state.invitations, ...Object.fromEntries(reply.invitations.map((i) => [i.invitationId, i])) },
  }));
}

/** Creates a run and opens it for participants. Throws with the reason, which the form shows at its end. */
export async function createRun(config: RunConfigInput): Promise<RunView> {
  // The schema fills in the defaults again on the other side; the socket's types want the full configuration.
  const { run } = await call('run:create', { requestId: requestId(), config: config as RunView['config'] });
  const opened = await call('run:open', { requestId: requestId(), runId: run.runId });
  return opened.run;
}

export type RunCommand = 'run:open' | 'run:start' | 'run:pause' | 'run:resume' | 'run:abort';
export const commandRun = (command: RunCommand, runId: string) =>
  told(call(command, { requestId: requestId(), runId }));

export const removeParticipant = (participantId: string, reason: string) =>
  told(call('participant:remove', { requestId: requestId(), participantId, reason }));

/** A new join link; it is shown this once, because the coordinator keeps only its hash. */
export async function invite(
  runId: string,
  maxUses: number,
): Promise<{ invitation: InvitationView; url: string } | undefined> {
  const reply = await told(call('invitation:create', { requestId: requestId(), runId, maxUses }));
  if (reply)
    set((state) => ({ invitations: { ...state.invitations, [reply.invitation.invitationId]: reply.invitation } }));
  return reply;
}

export async function revokeInvitation(invitation: InvitationView): Promise<void> {
  const { invitationId } = invitation;
  if (!(await told(call('invitation:revoke', { requestId: requestId(), invitationId })))) return;
  set((state) => ({ invitations: { ...state.invitations, [invitationId]: { ...invitation, revoked: true } } }));
}

export const dismissProblem = () => set({ problem: null });
