import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import type { RejectedLine } from './rejected-rows.ts';

interface FileRows<Row> {
  readonly rows: readonly Row[];
  /** Rows cut to the longest length. */
  readonly truncatedRows: number;
  readonly rejected: readonly Omit<RejectedLine, 'file'>[];
}

/** Reads files one after the other; what `parse` rejects is kept with the name of its file. */
export async function collectRows<Row>(
  files: readonly string[],
  parse: (bytes: Uint8Array, fileName: string) => Promise<FileRows<Row>>,
): Promise<{ rows: Row[]; rejected: RejectedLine[]; truncatedRows: number }> {
  const rows: Row[] = [];
  const rejected: RejectedLine[] = [];
  let truncatedRows = 0;
  for (const file of files) {
    const read = await parse(await readFile(file), basename(file));
    for (const row of read.rows) rows.push(row); // too many to spread into one call
    for (const row of read.rejected) rejected.push({ file, ...row });
    truncatedRows += read.truncatedRows;
  }
  return { rows, rejected, truncatedRows };
}
