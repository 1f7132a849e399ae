import { type DatasetCard, datasetCard } from './card.ts';
import { DataError } from './error.ts';
import { readFileRecords } from './read-records.ts';
import type { Container, DataRecord } from './records.ts';
import type { DataRow, RejectedRow } from './row.ts';
import { lowerCase, ROW_FORMATS, type RowFormatId, type RowText, readPair, rowFormatOf } from './row-formats.ts';

/** Which columns to read, when the file's own names say nothing. Names match without regard to case. */
export interface ColumnMapping {
  readonly prompt: string;
  readonly response: string;
}

export interface ParseOptions {
  readonly fileName: string;
  readonly mapping?: ColumnMapping | undefined;
  /** Replaces whole responses, e.g. class numbers by words: `{ '0': 'negative' }`. */
  readonly responseNames?: Readonly<Record<string, string>> | undefined;
  /** Columns whose values every row keeps, e.g. the one by which rows are dealt to simulated clients. */
  readonly keepColumns?: readonly string[] | undefined;
}

export interface Dataset {
  /** The format of most rows, `mapping` when one was given, or null when no row could be used. */
  readonly format: RowFormatId | 'mapping' | null;
  readonly rows: readonly DataRow[];
  readonly rejected: readonly RejectedRow[];
  readonly card: DatasetCard;
}

/**
 * Reads a data file for supervised fine-tuning: a JSON array, JSON Lines, CSV or TSV, in any format of ROW_FORMATS.
 * A row that cannot be used is rejected with its line and reason and never stops the rest; blank rows are skipped and
 * of identical rows the first is kept, both counted in the card. Throws DataError 'empty-file', 'unsupported-format'
 * (Parquet, archives, spreadsheets) or 'unknown-column' (a mapping to columns that are not there).
 */
export async function parseDataset(bytes: Uint8Array, options: ParseOptions): Promise<Dataset> {
  const { fileName, mapping, responseNames } = options;
  const { container, records, emptyRows } = readFileRecords(bytes, fileName);
  refuseWrongContainer(records, container, options);
  if (mapping) checkMapping(records, mapping, fileName);

  const rows: DataRow[] = [];
  const rejected: RejectedRow[] = [];
  const formats = new Map<RowFormatId, number>();
  const seen = new Set<string>();
  let duplicateRows = 0;
  for (const record of records) {
    if ('reason' in record) {
      rejected.push(record);
      continue;
    }
    const { format, text } = readRow(record.fields, mapping);
    if ('reason' in text) {
      rejected.push({ line: record.line, reason: text.reason });
      continue;
    }
    const response =
      responseNames && Object.hasOwn(responseNames, text.response) ? responseNames[text.response] : undefined;
    const row = { prompt: text.prompt, response: response ?? text.response, line: record.line };
    const key = JSON.stringify([row.prompt, row.response]);
    if (seen.has(key)) duplicateRows++;
    else {
      seen.add(key);
      rows.push(row);
      if (format) formats.set(format, (formats.get(format) ?? 0) + 1);
    }
  }
  const [most] = [...formats].sort((a, b) => b[1] - a[1]);
  const format = rows.length === 0 ? null : mapping ? 'mapping' : (most?.[0] ?? null);
  const counts = { rejectedRows: rejected.length, emptyRows, duplicateRows };
  return {
    format,
    rows,
    rejected,
    card: datasetCard(rows, { fileName, fileBytes: bytes.byteLength, container, ...counts }),
  };
}

function readRow(
  record: Readonly<Record<string, unknown>>,
  mapping?: ColumnMapping,
): { format?: RowFormatId; text: RowText } {
  const fields = lowerCase(record);
  if (mapping) return { text: readPair(fields, mapping.prompt.toLowerCase(), mapping.response.toLowerCase()) };
  const format = rowFormatOf(fields);
  if (format) return { format, text: ROW_FORMATS[format].read(fields) };
  const names = [...fields.keys()].slice(0, 8).join(', ');
  return {
    text: { reason: `has the fields ${names || '(none)'}, expected for instance prompt and response; map the columns` },
  };
}

// Without this, a file of another kind would come out as a long list of rejected lines.
function refuseWrongContainer(
  records: readonly DataRecord[],
  container: Container,
  { fileName, mapping }: ParseOptions,
): void {
  const refuse = (got: string): never => {
    throw new DataError(
      'unsupported-format',
      `${fileName}: got ${got}; expected a JSON array, JSON Lines, CSV or TSV with a prompt and a response in each row`,
    );
  };
  const known = (record: DataRecord): boolean =>
    'fields' in record && rowFormatOf(lowerCase(record.fields)) !== undefined;
  if (/\.json$/i.test(fileName) && container === 'jsonl' && records.every((record) => 'reason' in record)) {
    refuse('JSON that is neither an array nor an object on each line');
  }
  const table = container === 'csv' || container === 'tsv';
  if (table && !mapping && !/\.(csv|tsv)$/i.test(fileName) && !records.some(known)) refuse('plain text');
}

function checkMapping(records: readonly DataRecord[], mapping: ColumnMapping, fileName: string): void {
  const found = new Set<string>();
  for (const record of records) {
    if ('fields' in record) for (const name of Object.keys(record.fields)) found.add(name.trim());
    if (found.size > 100) break;
  }
  const lower = new Set([...found].map((name) => name.toLowerCase()));
  for (const name of [mapping.prompt, mapping.response]) {
    if (!lower.has(name.toLowerCase())) {
      throw new DataError(
        'unknown-column',
        `${fileName}: has no column ${name}; got ${[...found].join(', ') || 'none'}`,
      );
    }
  }
}
