import { modelRef, runView } from '@cotune/fl-core/protocol';
import { z } from 'zod';

const invitation = z.object({ run: runView, model: modelRef });
export type Invitation = z.infer<typeof invitation>;

/** Why an invitation cannot be used. */
export class InvitationError extends Error {
  readonly retry: boolean;
  constructor(message: string, retry: boolean) {
    super(message);
    this.name = 'InvitationError';
    this.retry = retry;
  }
}

/** What the invitation is for. Throws InvitationError. */
export async function fetchInvitation(token: string): Promise<Invitation> {
  let response: Response;
  try {
    response = await fetch(`/api/join/${encodeURIComponent(token)}`, { cache: 'no-store' });
  } catch {
    throw new InvitationError('The coordinator cannot be reached. Check your connection, then try again.', true);
  }
  const body: unknown = await response.json().catch(() => null);
  if (response.status === 404 || response.status === 410) {
    const said = z.object({ message: z.string() }).safeParse(body);
    throw new InvitationError(
      said.success ? said.data.message : 'The coordinator does not know this invitation.',
      false,
    );
  }
  if (!response.ok)
    throw new InvitationError(
      `The coordinator answered with an error (${response.status}). Try again in a moment.`,
      true,
    );
  const parsed = invitation.safeParse(body);
  if (!parsed.success)
    throw new InvitationError('The coordinator speaks another version of the protocol. Reload the page.', true);
  return parsed.data;
}

/** The demo data of one ordinal, or null where the coordinator serves none. */
export async function fetchDemoData(ordinal: number): Promise<File | null> {
  const response = await fetch(`/api/demo/data/${ordinal}`).catch(() => null);
  if (!response?.ok || response.headers.get('content-type')?.includes('html')) return null;
  return new File([await response.blob()], `demo-${ordinal}.jsonl`);
}

/** Whether the coordinator serves demo data at all. */
export async function hasDemoData(): Promise<boolean> {
  const response = await fetch('/api/demo/data/1', { method: 'HEAD' }).catch(() => null);
  return Boolean(response?.ok && !response.headers.get('content-type')?.includes('html'));
}
