import { FlError, isOver, type RoundEvent, type RunState, referenceAdapter } from '@cotune/fl-core';
import type { BlobStore } from '../blobs/blob-store.ts';
import { UserError } from '../cli/output.ts';
import type { Ending } from './ending.ts';
import type { Federation } from './federation.ts';

export type Watch = ReturnType<typeof watch>;

/** Tells progress, lets go of adapters that nobody needs any more, and sees when the run has ended. */
export function watch(
  federation: Pick<Federation, 'onProgress'>,
  { events, blobs, ending }: { events: readonly RoundEvent[]; blobs: Pick<BlobStore, 'remove'>; ending: Ending },
) {
  let startSha256 = events.find((event) => event.type === 'started')?.adapter.sha256 ?? null;
  const removals = new Set<Promise<void>>();
  /** Rounds that passed may have come since; they have the model of the round before. */
  const past = async (state: RunState) => {
    const { adapter, history } = state;
    const before = [startSha256, ...history.map((round) => round.adapterSha256)].findLast(
      (sha256) => sha256 !== adapter?.sha256,
    );
    // Clients download it whenever they first take part.
    if (before && before === referenceAdapter(state)?.sha256) return;
    if (before && adapter) await blobs.remove('adapter', before);
  };
  return {
    startSha256: () => startSha256,
    /** Resolves when no adapter is being removed any more. */
    settled: () => Promise.all(removals),
    on(event: RoundEvent, state: RunState) {
      if (event.type === 'started') startSha256 = event.adapter.sha256;
      if (event.type === 'started' || event.type === 'aggregated' || event.type === 'evaluated') {
        federation.onProgress(state, startSha256);
        const removal = past(state).catch(ending.fail);
        removals.add(removal);
        void removal.finally(() => removals.delete(removal));
      }
      if (state.phase === 'finished') ending.finish();
      else if (isOver(state)) ending.fail(new FlError('wrong-state', `${state.reason}`));
      else if (event.type === 'paused') ending.fail(new UserError(event.reason));
      else if (nobodyLeft(state))
        ending.fail(new FlError('incomplete', `round ${state.round + 1}: no client could finish its training`));
    },
  };
}

/** A round in which everyone has left waits for ever where no time passes. */
function nobodyLeft({ current }: RunState): boolean {
  if (current?.phase !== 'training') return false;
  const gone = new Set(current.departed);
  return current.updates.length === 0 && current.sampled.every((one) => gone.has(one));
}
