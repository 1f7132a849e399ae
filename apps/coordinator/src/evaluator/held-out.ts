import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { FlError, type ParsedRows, parseRows, type RunConfig } from '@cotune/fl-core';
import type { ModelSource } from '@cotune/kernels';
import { openModelText } from '../participant/model-text.ts';
import { type HeldOutSet, heldOutSet } from './measure.ts';
import { type CountedFile, type RowCounts, rememberedCounts } from './row-counts.ts';

/** Held-out data that runs may be evaluated on; never sent to participants. */
export interface HeldOutFile extends CountedFile {
  readonly id: string;
  readonly title: string;
  /** Rows or preference pairs in any format that participants' data may have; the run's task says which. */
  readonly file: string;
}

type Task = RunConfig['task'];

export interface HeldOutCatalog {
  /** `rows` are those of the task that the file is for. */
  list(): Promise<{ id: string; title: string; rows: number }[]>;
  /** Throws FlError 'not-found', or 'invalid' when the file has no row of this task. */
  requireRows(evaluationId: string, task: Task): Promise<void>;
  /** Tokenised as participants tokenise theirs. Throws as `requireRows` does, and 'invalid' when no row fits the run. */
  set(evaluationId: string, source: ModelSource, config: RunConfig): Promise<HeldOutSet>;
}

export function createHeldOutCatalog(files: readonly HeldOutFile[]): HeldOutCatalog {
  const countsOf = rememberedCounts();
  const byId = new Map(files.map((file) => [file.id, file]));
  const known = (evaluationId: string): HeldOutFile => {
    const file = byId.get(evaluationId);
    if (file) return file;
    const ids = [...byId.keys()].join(', ') || 'none';
    throw new FlError('not-found', `unknown evaluation "${evaluationId}": this coordinator has ${ids}`);
  };
  return {
    list: () =>
      Promise.all(
        files.map(async (held) => {
          const { sft, dpo } = await countsOf(held);
          return { id: held.id, title: held.title, rows: Math.max(sft, dpo) };
        }),
      ),
    async requireRows(evaluationId, task) {
      const held = known(evaluationId);
      const counts = await countsOf(held);
      if (counts[task] === 0) throw new FlError('invalid', misfit(held.file, task, counts));
    },
    async set(evaluationId, source, config) {
      const held = known(evaluationId);
      const parsed = await readRows(held, config.task);
      if (parsed.rows.length === 0) {
        throw new FlError('invalid', misfit(held.file, config.task, await countsOf(held)));
      }
      const text = await openModelText(source);
      return heldOutSet(parsed, await text.opened(config), text.tokenizer);
    },
  };
}

const readRows = async ({ file, mapping }: CountedFile, task: Task): Promise<ParsedRows> =>
  parseRows(task, await readFile(file), { fileName: basename(file), mapping });

const WANTED = {
  sft: 'prompts with their responses',
  dpo: 'preference pairs (prompt, chosen and rejected, or whole dialogues as chosen and rejected)',
} as const satisfies Record<Task, string>;

const rows = (count: number): string => `${count} row${count === 1 ? '' : 's'}`;

function misfit(file: string, task: Task, counts: RowCounts): string {
  const other = task === 'dpo' ? 'sft' : 'dpo';
  const has =
    counts[other] > 0 ? `it has ${rows(counts[other])} of ${WANTED[other]}, for ${other} runs` : 'no row is usable';
  return `${basename(file)}: expected ${WANTED[task]} to evaluate a ${task} run on, but ${has}`;
}
