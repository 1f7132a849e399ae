import { type clientInfo, FlError } from '@cotune/fl-core';
import type { z } from 'zod';
import type { RunEngine } from '../run-engine.ts';
import type { Db } from '../store/database.ts';
import { takeInvitation, usableInvitation } from '../store/invitations.ts';
import { insertParticipant, participantByResumeToken, touchParticipant } from '../store/participants.ts';
import { newParticipantId, newToken } from '../store/tokens.ts';

export interface Admission {
  /** Lets an invited newcomer in, or a known participant back in. Throws FlError. */
  admit(request: {
    token: string;
    client: z.infer<typeof clientInfo>;
  }): Promise<{ participantId: string; runId: string; resumeToken: string }>;
}

export function createAdmission(options: {
  db: Db;
  now: () => number;
  run: (runId: string) => RunEngine | undefined;
  modelRef: (modelId: string) => Promise<unknown>;
}): Admission {
  const { db, now, run, modelRef } = options;

  const existing = async (runId: string): Promise<RunEngine> => {
    const found = run(runId);
    if (!found) throw new FlError('not-found', `run ${runId} is gone`);
    const { modelId } = found.state().config;
    await modelRef(modelId).catch(() => {
      throw new FlError('busy', `model "${modelId}" is not offered at the moment: its operator has to bring it back`);
    });
    return found;
  };

  const resume = async (token: string, adapter: string) => {
    const row = await participantByResumeToken(db, token);
    if (!row) throw new FlError('unauthorized', 'unknown resume token: join again with an invitation');
    const engine = await existing(row.run_id);
    const known = engine.state().participants.find((one) => one.participantId === row.participant_id);
    if (known?.removed) throw new FlError('forbidden', 'you were removed from this run');
    // A crash may have come between the participant's row and its 'joined' event.
    if (!known) await join(engine, row.participant_id, row.name);
    await touchParticipant(db, row.participant_id, now(), adapter);
    return { participantId: row.participant_id, runId: row.run_id, resumeToken: token };
  };

  const join = (engine: RunEngine, participantId: string, name: string, also?: (trx: Db) => Promise<void>) =>
    engine.dispatch({ type: 'joined', participantId, name }, { strict: true, ...(also && { also }) });

  return {
    async admit({ token, client }) {
      if (token.startsWith('resume_')) return resume(token, client.adapter);
      const invitation = await usableInvitation(db, token, now());
      const engine = await existing(invitation.run_id);
      const participantId = newParticipantId(engine.state().participants.length);
      const resumeToken = newToken('resume');
      // The use, the identity and the event stand or fall together.
      await join(engine, participantId, client.name, async (trx) => {
        await takeInvitation(trx, token, now());
        const { name, adapter } = client;
        await insertParticipant(trx, { participantId, runId: engine.runId, name, adapter, resumeToken, atMs: now() });
      });
      return { participantId, runId: engine.runId, resumeToken };
    },
  };
}
