import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { TrainingData } from '@cotune/fl-core';
import type { Cell } from './cells.ts';
import { selectData } from './data.ts';
import { writeDurably } from './durable-files.ts';
import type { TrainingJob } from './virtual-client.ts';

const padded = (value: number): string => String(value).padStart(4, '0');

/**
 * Writes for every training `CELL/round-0000-client-0000.jsonl`, the token rows in the order in which the steps take them, as
 * `cotune train --tokens FILE --no-shuffle` reads them, and beside it in `.json` the settings that this command needs.
 */
export function orderWriter(dir: string) {
  return async (cell: Cell, job: TrainingJob, data: TrainingData): Promise<void> => {
    const { round, ordinal, order, steps, batchSize, learningRate, clipNorm, weightDecay, seed } = job;
    const directory = join(dir, cell.name);
    await mkdir(directory, { recursive: true });
    const path = join(directory, `round-${padded(round)}-client-${padded(ordinal)}`);
    const { lora, task, dpo } = cell.run;
    const settings = { round, client: ordinal, task, steps, batchSize, learningRate, clipNorm, weightDecay, lora };
    const seeds = { dropoutSeed: seed, adapterSeed: cell.seed };
    await writeDurably(
      `${path}.json`,
      `${JSON.stringify({ ...settings, ...(task === 'dpo' && { dpo }), ...seeds })}\n`,
    );
    await writeDurably(
      `${path}.jsonl`,
      tokenRows(selectData(data, order))
        .map((row) => `${JSON.stringify(row)}\n`)
        .join(''),
    );
  };
}

function tokenRows(data: TrainingData): object[] {
  if (data.task === 'sft') return data.examples.map(({ inputIds, labels }) => ({ input_ids: inputIds, labels }));
  return data.pairs.map(({ chosen, rejected }) => ({
    chosen_input_ids: chosen.inputIds,
    chosen_labels: chosen.labels,
    rejected_input_ids: rejected.inputIds,
    rejected_labels: rejected.labels,
  }));
}
