import { shownAddress } from '../data-source/address.ts';
import { type DataSource, openDataSource } from '../data-source/open.ts';
import type { RejectedLine } from './rejected-rows.ts';

interface FileRows<Row> {
  readonly rows: readonly Row[];
  /** Rows cut to the longest length. */
  readonly truncatedRows: number;
  readonly rejected: readonly Omit<RejectedLine, 'file'>[];
}

/** What `--data` takes, for its help. */
export const DATA_SOURCES = 'a file in any known format, preset:ID or an address';

/**
 * Reads sources (paths, `preset:ID`, addresses) one after the other; what `parse` rejects is kept with the source it is of.
 * Throws UserError for a source that is not there.
 */
export async function collectRows<Row>(
  sources: readonly string[],
  parse: (source: DataSource) => Promise<FileRows<Row>>,
): Promise<{ rows: Row[]; rejected: RejectedLine[]; truncatedRows: number }> {
  const rows: Row[] = [];
  const rejected: RejectedLine[] = [];
  let truncatedRows = 0;
  for (const from of sources) {
    const read = await parse(await openDataSource(from, process.cwd()));
    for (const row of read.rows) rows.push(row); // too many to spread into one call
    for (const row of read.rejected) rejected.push({ file: shownAddress(from), ...row });
    truncatedRows += read.truncatedRows;
  }
  return { rows, rejected, truncatedRows };
}
