import { note } from './output.ts';

/** A row of a data file that could not be used. */
export interface RejectedLine {
  readonly file: string;
  readonly line: number;
  readonly reason: string;
}

/** Lists the first of the rows that were left out. */
export function reportRejected(rejected: readonly RejectedLine[]): void {
  if (rejected.length === 0) return;
  note(`${rejected.length} row${rejected.length === 1 ? '' : 's'} rejected:`);
  for (const row of rejected.slice(0, 10)) note(`  ${row.file}:${row.line}: ${row.reason}`);
  if (rejected.length > 10) note(`  … and ${rejected.length - 10} more`);
}
