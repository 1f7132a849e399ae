import { algorithmOf as registered } from '../algorithms/registry.ts';
import { isOver, type RoundOffer, type RunView } from '../protocol/schema.ts';
import { gate } from './gate.ts';
import { type OfferedRound, performRound } from './offered-round.ts';
import type { Participant, ParticipantOptions } from './participant.ts';
import { clearPending, clearRun } from './pending.ts';

const sameRound = (a: RoundOffer, b: RoundOffer): boolean =>
  a.runId === b.runId && a.round === b.round && a.attempt === b.attempt && a.adapter.sha256 === b.adapter.sha256;
const isOlder = (a: RoundOffer, b: RoundOffer): boolean =>
  a.runId === b.runId && (a.round < b.round || (a.round === b.round && a.attempt < b.attempt));

/**
 * The client side of a run: takes what the socket says and works on one offered round at a time. It survives lost
 * connections (uploads go on from the missing chunks) and reloads (a trained update in `storage` is not trained again).
 * Nothing here knows a GPU or a socket; both come in by `options`.
 */
export function createParticipant(options: ParticipantOptions): Participant {
  const { storage, transport, onActivity } = options;
  const delay = options.delay ?? ((ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)));
  const connection = gate();
  let run: RunView | null = null;
  let work: OfferedRound | null = null;
  let leaving = false;
  /** Works run one after another, since there is one GPU; a cancelled one gives way after its step. */
  let tail: Promise<void> = Promise.resolve();

  const cancel = (): void => {
    work?.cancelled.abort(new DOMException('the round is void', 'AbortError'));
    work?.enough.abort();
  };

  const begin = (offer: RoundOffer): void => {
    cancel();
    const next: OfferedRound = {
      offer,
      cancelled: new AbortController(),
      enough: new AbortController(),
      stage: 'queued',
      done: Promise.resolve(),
    };
    work = next;
    const settings = { ...options, delay, algorithmOf: options.algorithmOf ?? registered, online: connection.whenOpen };
    next.done = tail.then(() => performRound(next, () => run, settings));
    tail = next.done;
  };

  const onRunState = (view: RunView): void => {
    run = view;
    const past = work !== null && (view.runId !== work.offer.runId || view.round > work.offer.round || isOver(view));
    if (past) cancel();
    if (isOver(view)) void clearRun(storage, view.runId).catch(() => {});
    if (view.phase === 'finished') onActivity({ kind: 'finished' });
    else if (isOver(view))
      onActivity({ kind: 'failed', message: `The run was ${view.phase}: ${view.reason ?? 'no reason given'}` });
    else if (work === null || past) onActivity({ kind: 'waiting', reason: waitingFor(view) });
  };

  return {
    onWelcome(welcome) {
      connection.open();
      onRunState(welcome.run);
    },
    onOffer(offer) {
      if (leaving) return;
      if (work !== null) {
        if (isOlder(offer, work.offer)) return;
        // An offer comes again after every reconnect; only a round that ended without an answer is taken up again.
        if (sameRound(offer, work.offer) && work.stage !== 'ended' && !work.cancelled.signal.aborted) return;
      }
      begin(offer);
    },
    onRunState,
    onRemoved(reason) {
      leaving = true;
      cancel();
      // What is stored stays: another tab with this identity may have taken over, and shares it.
      onActivity({ kind: 'removed', reason });
    },
    onDisconnect() {
      connection.close();
    },
    async stop(how) {
      leaving = true;
      const held = work;
      if (held === null || held.stage === 'ended' || held.stage === 'answered') return;
      if (how === 'submit' && (held.stage === 'training' || held.stage === 'uploading')) {
        held.enough.abort();
        await held.done;
        return;
      }
      cancel();
      await held.done;
      await clearPending(storage, held.offer.runId);
      if (!connection.isOpen()) return;
      const { runId, round, attempt } = held.offer;
      const reason = 'the participant left';
      // Nobody waits for the answer: the round goes on without it by its deadline.
      await transport.request('round:decline', { runId, round, attempt, reason }).catch(() => {});
    },
  };
}

function waitingFor(run: RunView): string {
  if (run.phase === 'paused') return 'the run is paused';
  if (run.phase !== 'running') return 'the run has not begun';
  if (run.roundPhase === 'gathering') return 'more participants are needed';
  return 'the next round has not begun';
}
