import { proxy } from 'comlink';
import { invited, useJoinStore } from '../stores/join-store.ts';
import type { TrainerSlot } from '../trainer/client.ts';
import { explainFailure } from './failure.ts';
import { readData } from './own-data.ts';
import type { SeatKeeper } from './seat.ts';
import type { Tracker } from './tracker.ts';

const { setState: set, getState: get } = useJoinStore;

/** Loads the model (if it is not here yet) and the run's last adapter, for trying and taking home. Never throws. */
export async function loadTunedResult(trainer: TrainerSlot, tracker: Tracker, place: SeatKeeper): Promise<void> {
  const { run, model } = invited();
  if (!run.adapter || get().result !== 'idle') return;
  set({ result: 'loading', notice: null });
  try {
    const api = trainer.api();
    await api.prepare(
      { model, config: run.config },
      proxy((progress) => tracker.download(progress)),
    );
    await api.loadAdapter(run.adapter);
    if (!get().data && place.seat.resumeToken) await readData(trainer, place.key, null);
    set({ result: 'ready', samplePrompt: await api.samplePrompt() });
  } catch (error) {
    set({ result: 'idle', notice: `The tuned adapter cannot be tried here: ${explainFailure(error)}` });
  }
}
