import { FlError } from '../error.ts';
import type { RoundOffer, RunView } from '../protocol/schema.ts';
import { downloadBytes, downloadStart } from './download-start.ts';
import type { ParticipantOptions } from './participant.ts';
import { answers, clearPending, type PendingUpdate, readPending, writePending } from './pending.ts';
import { type Patience, persistently } from './retry.ts';
import { keepState, noteNextState, settleNextState } from './stored-state.ts';
import { trainRound } from './train-round.ts';
import { uploadUpdate } from './upload.ts';

/** Time between two progress messages: at most two a second. */
export const PROGRESS_MS = 500;

/** One offer being worked on. */
export interface OfferedRound {
  readonly offer: RoundOffer;
  /** Aborted when its result is void. */
  readonly cancelled: AbortController;
  /** Aborted when training stops early and what is there is submitted. */
  readonly enough: AbortController;
  /** `answered`: the coordinator gave its verdict; `ended`: over without one. */
  stage: 'queued' | 'downloading' | 'training' | 'uploading' | 'answered' | 'ended';
  /** Never rejects. */
  done: Promise<void>;
}

export interface RoundSettings extends ParticipantOptions {
  readonly delay: (ms: number) => Promise<void>;
  readonly algorithmOf: NonNullable<ParticipantOptions['algorithmOf']>;
  online(): Promise<void>;
}

/** Accepts, trains (unless storage holds the result already), uploads, reports. Never rejects. */
export async function performRound(
  work: OfferedRound,
  runView: () => RunView | null,
  settings: RoundSettings,
): Promise<void> {
  const { transport, storage, onActivity } = settings;
  const { offer } = work;
  const { runId, round, attempt } = offer;
  const patience: Patience = { signal: work.cancelled.signal, online: settings.online, delay: settings.delay };
  try {
    patience.signal.throwIfAborted();
    const accepted = await persistently(patience, async () => {
      const ack = await transport.request('round:accept', { runId, round, attempt });
      if (!ack.ok && (ack.code === 'busy' || ack.code === 'internal')) throw new FlError(ack.code, ack.message);
      return ack;
    });
    if (!accepted.ok) {
      work.stage = 'ended';
      onActivity({ kind: 'waiting', reason: `the coordinator withdrew round ${round + 1}: ${accepted.message}` });
      return;
    }
    const stored = await settlePending(offer, settings);
    const pending = stored ?? (await trainAndStore(work, runView(), settings, patience));
    if (pending === null) throw new FlError('incomplete', 'training stopped before its first step');
    work.stage = 'uploading';
    const totalBytes = pending.bytes.length;
    const verdict = await uploadUpdate({
      ...patience,
      transport,
      open: pending.open,
      bytes: pending.bytes,
      onSent: (sentBytes) => onActivity({ kind: 'uploading', round, sentBytes, totalBytes }),
    });
    work.stage = 'answered';
    if (verdict.status === 'accepted') await noteNextState(storage, pending);
    // One that stays is cleared away when the next round begins.
    await clearPending(storage, runId).catch(() => undefined);
    onActivity({ kind: 'uploaded', round, verdict });
  } catch (error) {
    const answered = work.stage === 'answered';
    if (!answered) work.stage = 'ended';
    if (patience.signal.aborted) return;
    const message = error instanceof Error ? error.message : String(error);
    onActivity({ kind: 'failed', message });
    if (answered) return;
    // The round need not wait for this participant; if this does not arrive, its deadline will do.
    await transport
      .request('round:decline', { runId, round, attempt, reason: message.slice(0, 300) })
      .catch(() => undefined);
  }
}

/**
 * The stored update if it answers this offer. One of an earlier round is cleared away. The client state after the last
 * update is kept when the offer says that it went into the model, also when its verdict was lost on the way.
 */
async function settlePending(offer: RoundOffer, { storage }: RoundSettings): Promise<PendingUpdate | undefined> {
  const pending = await readPending(storage, offer.runId);
  await settleNextState(storage, offer);
  if (pending === undefined || answers(pending, offer)) return pending;
  if (pending.open.sha256 === offer.counted) await keepState(storage, pending);
  await clearPending(storage, offer.runId);
  return undefined;
}

async function trainAndStore(
  work: OfferedRound,
  run: RunView | null,
  settings: RoundSettings,
  patience: Patience,
): Promise<PendingUpdate | null> {
  const { transport, trainer, storage, onActivity, onStep, now } = settings;
  const { offer } = work;
  const { round, plan } = offer;
  const totalBytes = downloadBytes(offer);
  const algorithm = settings.algorithmOf(plan.algorithm);
  work.stage = 'downloading';
  onActivity({ kind: 'downloading', receivedBytes: 0, totalBytes });
  const start = await downloadStart(offer, algorithm, settings, patience, (receivedBytes) =>
    onActivity({ kind: 'downloading', receivedBytes, totalBytes }),
  );
  patience.signal.throwIfAborted();
  work.stage = 'training';
  onActivity({ kind: 'training', round, step: 0, steps: plan.steps, lossNats: null });
  let steps = 0;
  let progressSentMs = Number.NEGATIVE_INFINITY;
  const pending = await trainRound({
    offer,
    start,
    examples: settings.examples,
    dtype: run?.config.updateDtype ?? 'f32',
    algorithm,
    trainer,
    storage,
    now,
    signal: work.enough.signal,
    onStep: ({ lossNats, tokensPerSecond, rewards, meanRewards }) => {
      if (patience.signal.aborted) return;
      const step = ++steps;
      onActivity({ kind: 'training', round, step, steps: plan.steps, lossNats });
      onStep?.({ round, step, lossNats, tokensPerSecond, ...(rewards && { rewards }) });
      if (now() - progressSentMs < PROGRESS_MS || !Number.isFinite(lossNats)) return;
      progressSentMs = now();
      transport.progress({
        runId: offer.runId,
        round,
        step,
        steps: plan.steps,
        lossNats,
        tokensPerSecond,
        ...(meanRewards && { rewards: meanRewards }),
      });
    },
  });
  patience.signal.throwIfAborted();
  if (pending === null) return null;
  // Before the first byte goes out, so that a reload uploads instead of training again. When storage is full the upload
  // still goes on; only the reload would cost the training.
  await writePending(storage, pending).catch(() => undefined);
  return pending;
}
