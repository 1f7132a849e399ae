import { invited, useJoinStore } from '../stores/join-store.ts';
import type { TrainerSlot } from '../trainer/client.ts';
import { explainFailure } from './failure.ts';
import { fetchDemoData } from './invitation.ts';

const { setState: set } = useJoinStore;

/**
 * Reads the owner's file in the Worker, or with null the one kept from an earlier visit, and shows what is in it or why it is
 * of no use. Never throws.
 */
export async function readData(trainer: TrainerSlot, seatKey: string, file: File | null): Promise<void> {
  set({ dataBusy: true, dataProblem: null });
  try {
    const { run, model } = invited();
    const { template, maxSeqLength } = run.config;
    const data = await trainer.api().readData(seatKey, file, { modelUrl: model.url, template, maxSeqLength });
    if (data && data.examples === 0) {
      const first = data.rejected[0]?.reason ?? 'the file is empty';
      set({ data: null, dataProblem: `No row of ${data.name} can be used. First problem: ${first}` });
    } else {
      set({ data });
    }
  } catch (error) {
    set({ data: null, dataProblem: explainFailure(error) });
  } finally {
    set({ dataBusy: false });
  }
}

/** The same for the coordinator's demo data, ordinal from 1. */
export async function readDemoData(trainer: TrainerSlot, seatKey: string, ordinal: number): Promise<void> {
  const file = await fetchDemoData(ordinal);
  if (file) await readData(trainer, seatKey, file);
  else set({ dataProblem: 'This coordinator has no such demo data. Choose a file of your own.' });
}
