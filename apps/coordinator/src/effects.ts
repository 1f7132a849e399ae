import {
  type BlobRef,
  countedUpdate,
  decodeVector,
  type Effect,
  encodeVector,
  type HeldOutMetrics,
  planFor,
  type RunState,
  referenceAdapter,
  sharedState,
} from '@cotune/fl-core';
import { adapterLayout } from '@cotune/kernels';
import type { EventStream } from './admin/event-stream.ts';
import { aggregate } from './aggregate.ts';
import type { BlobStore } from './blobs/blob-store.ts';
import type { Clock } from './clock.ts';
import type { Evaluator } from './evaluator/evaluator.ts';
import type { ModelCatalog } from './evaluator/model-catalog.ts';
import type { Log } from './log.ts';
import type { RunEngine } from './run-engine.ts';
import type { Peers } from './sockets/peers.ts';
import { firstVector } from './start-adapter.ts';
import { isStorageFull } from './storage-full.ts';

export interface EffectServices {
  readonly blobs: BlobStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly peers: Pick<Peers, 'send' | 'toRun' | 'remove'>;
  readonly models: Pick<ModelCatalog, 'open'>;
  readonly evaluator: Pick<Evaluator, 'evaluate'>;
  readonly admin: Pick<EventStream, 'push'>;
  /** Removes what a published round leaves behind: those of these update blobs that no unfinished round needs, and past algorithm states. */
  readonly dropUpdates: (sha256s: readonly string[]) => Promise<void>;
}

export interface EffectPerformer {
  perform(run: RunEngine, effect: Effect): void;
  /** Performs again what a full disk interrupted; called when the operator resumes the run. */
  takeUp(run: RunEngine): void;
  /** Cancels timers and waits for work under way, which stops at its next step. */
  close(): Promise<void>;
}

/** A view goes to every participant: the more there are, the fewer go out. */
const broadcastIntervalMs = (participants: number): number => 50 + participants;

/** Where participants find what the run's algorithm shares with them. */
function stateRef(state: RunState): BlobRef | null {
  const shared = sharedState(state);
  return shared && { url: `/api/states/${shared.sha256}`, sha256: shared.sha256, bytes: shared.bytes };
}

/** Performs what `reduce` asks for. Sending is immediate and in order; long work runs beside and reports back as an event. */
export function createEffects(services: EffectServices): EffectPerformer {
  const { blobs, clock, log, peers, admin, dropUpdates } = services;
  const timers = new Map<string, () => void>();
  const broadcasts = new Map<string, () => void>();
  const interrupted = new Map<string, Effect>();
  const working = new Set<Promise<void>>();
  let closed = false;

  const note = (run: RunEngine, message: string) => admin.push({ type: 'log', runId: run.runId, message });

  /** Runs long work in the background; what fails is reported, never thrown into the event loop. */
  const background = (run: RunEngine, what: string, work: () => Promise<unknown>) => {
    const job = work().then(
      () => undefined,
      (error: unknown) => {
        if (closed) return;
        log.error({ runId: run.runId, err: error }, `${what} failed`);
        note(run, `${what} failed: ${String((error as Error).message)}`);
      },
    );
    working.add(job);
    void job.finally(() => working.delete(job));
  };

  /**
   * Held-out metrics of an adapter; null (and said so) when this machine cannot evaluate: training goes on without. A loss
   * that is not finite is a result, not a failure: `reduce` must see it, or it would publish a diverged model.
   */
  const evaluate = async (run: RunEngine, adapter: BlobRef): Promise<HeldOutMetrics | null> => {
    const { config, firstAdapter } = run.state();
    if (!config.evaluationId) return null;
    const vectorOf = async ({ sha256 }: BlobRef) => decodeVector(await blobs.read(sha256)).vector;
    try {
      const vector = await vectorOf(adapter);
      const ref = referenceAdapter({ config, firstAdapter: firstAdapter ?? adapter });
      const reference = ref && { sha256: ref.sha256, vector: await vectorOf(ref) };
      return await services.evaluator.evaluate({ config, evaluationId: config.evaluationId, vector, reference });
    } catch (error) {
      if (closed) throw error;
      log.error({ runId: run.runId, err: error }, 'evaluation failed');
      note(run, `evaluation failed, the run goes on without it: ${String((error as Error).message)}`);
      return null;
    }
  };

  const start = async (run: RunEngine) => {
    try {
      const { config } = run.state();
      const model = await services.models.open(config.modelId);
      const vector = await firstVector(config, adapterLayout(model.config, config.lora), blobs);
      const adapter = await blobs.put('adapter', encodeVector(vector, { dtype: 'f32', round: 0 }));
      const metrics = await evaluate(run, adapter);
      const baseline = metrics && Number.isFinite(metrics.lossNats) ? metrics : null;
      if (!closed) await run.dispatch({ type: 'started', adapter, baseline });
    } catch (error) {
      if (closed) return;
      log.error({ runId: run.runId, err: error }, 'start failed');
      await run.dispatch({ type: 'failed', reason: `the run could not start: ${String((error as Error).message)}` });
    }
  };

  const runAggregation = async (run: RunEngine, effect: Extract<Effect, { type: 'aggregate' }>) => {
    const { round } = effect;
    try {
      const { adapter, algorithmState } = await aggregate(blobs, run.state().config, effect);
      if (!closed) await run.dispatch({ type: 'aggregated', round, adapter, algorithmState });
    } catch (error) {
      if (closed) return;
      log.error({ runId: run.runId, round, err: error }, 'aggregation failed');
      if (isStorageFull(error)) {
        // Not the round's fault: nothing is lost while it waits for the operator.
        interrupted.set(run.runId, effect);
        await run.dispatch({ type: 'paused', reason: 'no disk space is left: free some, then resume the run' });
        return;
      }
      await run.dispatch({ type: 'aggregation-failed', round, reason: String((error as Error).message) });
    }
  };

  const setTimer = (run: RunEngine, effect: Extract<Effect, { type: 'timer' }>) => {
    const { round, attempt, timer, atMs } = effect;
    const key = `${run.runId} ${timer}`; // a run has one deadline and one grace period at a time
    timers.get(key)?.();
    const fire = () => {
      timers.delete(key);
      background(run, 'timer', () => run.dispatch({ type: 'timer', round, attempt, timer }));
    };
    timers.set(key, clock.at(atMs, fire));
  };

  /** Many events may change the view at once: one message carries the last state of each interval. */
  const broadcast = (run: RunEngine) => {
    if (broadcasts.has(run.runId)) return;
    const send = () => {
      broadcasts.delete(run.runId);
      const view = run.view();
      peers.toRun(run.runId, 'run:state', view);
      admin.push({ type: 'run', run: view });
    };
    const handle = setTimeout(send, broadcastIntervalMs(run.state().participants.length));
    broadcasts.set(run.runId, () => clearTimeout(handle));
  };

  const offer = (run: RunEngine, { participantId, round, attempt, deadlineMs }: Extract<Effect, { type: 'offer' }>) => {
    const state = run.state();
    if (!state.adapter) return;
    const plan = planFor(state, participantId);
    peers.send(participantId, 'round:offer', {
      runId: run.runId,
      round,
      attempt,
      deadlineMs,
      adapter: state.adapter,
      algorithmState: stateRef(state),
      reference: referenceAdapter(state),
      counted: countedUpdate(state, participantId),
      plan,
    });
  };

  const performer: EffectPerformer = {
    takeUp(run) {
      const effect = interrupted.get(run.runId);
      interrupted.delete(run.runId);
      if (effect) performer.perform(run, effect);
    },
    perform(run, effect) {
      if (closed) return;
      switch (effect.type) {
        case 'start':
          return background(run, 'start', () => start(run));
        case 'offer':
          return offer(run, effect);
        case 'timer':
          return setTimer(run, effect);
        case 'aggregate':
          return background(run, 'aggregation', () => runAggregation(run, effect));
        case 'evaluate':
          return background(run, 'evaluation', async () => {
            const metrics = await evaluate(run, effect.adapter);
            if (!closed) await run.dispatch({ type: 'evaluated', round: effect.round, metrics });
          });
        case 'publish': {
          const { round, adapter, summary } = effect;
          peers.toRun(run.runId, 'round:closed', { runId: run.runId, round, adapter, summary });
          return background(run, 'clean-up', () => dropUpdates(summary.received.map((update) => update.sha256)));
        }
        case 'disconnect':
          return peers.remove(effect.participantId, effect.reason);
        case 'broadcast':
          return broadcast(run);
        default:
          return effect satisfies never;
      }
    },
    async close() {
      closed = true;
      for (const cancel of timers.values()) cancel();
      for (const cancel of broadcasts.values()) cancel();
      timers.clear();
      broadcasts.clear();
      await Promise.all(working);
    },
  };
  return performer;
}
