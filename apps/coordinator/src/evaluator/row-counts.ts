import { readFile, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { DataError, type ParseOptions, parseRows, type RunConfig } from '@cotune/fl-core';

export interface CountedFile {
  readonly file: string;
  /** Its columns, where its own names say nothing. */
  readonly mapping?: ParseOptions['mapping'];
}

/** Rows by the task that they are for. */
export type RowCounts = Readonly<Record<RunConfig['task'], number>>;

/** Rows that a file has for either task; 0 where it cannot be read as data of that task at all. */
export async function countRows({ file, mapping }: CountedFile): Promise<RowCounts> {
  const bytes = await readFile(file);
  const count = async (task: RunConfig['task']): Promise<number> => {
    try {
      return (await parseRows(task, bytes, { fileName: basename(file), mapping })).rows.length;
    } catch (error) {
      if (error instanceof DataError) return 0;
      throw error;
    }
  };
  return { sft: await count('sft'), dpo: await count('dpo') };
}

/**
 * `countRows` that reads a file again only when its time of change or its size is another: parsing blocks the process, and
 * operators' pages ask often. What could not be read is not remembered.
 */
export function rememberedCounts(count = countRows): (held: CountedFile) => Promise<RowCounts> {
  const known = new Map<string, { readonly version: string; readonly counts: Promise<RowCounts> }>();
  return async (held) => {
    const key = JSON.stringify([held.file, held.mapping ?? null]);
    // Before the file is read: one that is edited in between is counted again the next time.
    const { mtimeNs, size } = await stat(held.file, { bigint: true });
    const version = `${mtimeNs} ${size}`;
    const last = known.get(key);
    if (last?.version === version) return last.counts;
    const entry = { version, counts: count(held) };
    known.set(key, entry);
    entry.counts.catch(() => {
      if (known.get(key) === entry) known.delete(key);
    });
    return entry.counts;
  };
}
