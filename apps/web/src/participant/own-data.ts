import { invited, useJoinStore } from '../stores/join-store.ts';
import type { TrainerSlot } from '../trainer/client.ts';
import type { ColumnChoice } from '../trainer/columns.ts';
import type { DataReport, DataSettings } from '../trainer/messages.ts';
import { explainFailure } from './failure.ts';
import { fetchDemoData } from './invitation.ts';

const { setState: set } = useJoinStore;

function dataSettings(): DataSettings {
  const { run, model } = invited();
  const { task, dpo, template, maxSeqLength } = run.config;
  return { modelUrl: model.url, task, dpo, template, maxSeqLength };
}

/** Shows what a reading gives: its report, or why the file is of no use. Never throws. */
async function show(reading: () => Promise<DataReport | null>): Promise<DataReport | null> {
  set({ dataBusy: true, dataProblem: null });
  try {
    const data = await reading();
    if (data && data.examples === 0) {
      const [first] = data.rejections;
      const why = first ? `Line ${first.lines[0]}: ${first.reason}` : 'The file is empty';
      set({ data: null, dataProblem: `No row of ${data.name} can be used. ${why}.` });
    } else {
      set({ data });
    }
    return data;
  } catch (error) {
    set({ data: null, dataProblem: explainFailure(error) });
    return null;
  } finally {
    set({ dataBusy: false });
  }
}

/**
 * Reads the owner's file in the Worker, or with null the one kept from an earlier visit. Where no row can be used as the file
 * is, its columns are offered. Never throws.
 */
export async function readData(trainer: TrainerSlot, seatKey: string, file: File | null): Promise<void> {
  set({ columns: null });
  const data = await show(() => trainer.api().readData(seatKey, file, dataSettings()));
  if (data && data.examples === 0) await offerColumns(trainer);
}

/** Lets the owner say which column is which, of the file that was read last. Never throws. */
export async function offerColumns(trainer: TrainerSlot): Promise<void> {
  const columns = await trainer
    .api()
    .columns()
    .catch(() => []);
  if (columns.length > 0) set({ columns });
}

/** Reads the last file again with the chosen columns; null goes by its own names. Never throws. */
export async function chooseColumns(
  trainer: TrainerSlot,
  seatKey: string,
  columns: ColumnChoice | null,
): Promise<void> {
  const data = await show(() => trainer.api().chooseColumns(seatKey, columns, dataSettings()));
  if (data && data.examples > 0) set({ columns: null });
}

/** The same as `readData` for the coordinator's demo data, ordinal from 1. */
export async function readDemoData(trainer: TrainerSlot, seatKey: string, ordinal: number): Promise<void> {
  const file = await fetchDemoData(ordinal);
  if (file) await readData(trainer, seatKey, file);
  else set({ dataProblem: 'This coordinator has no such demo data. Choose a file of your own.' });
}
