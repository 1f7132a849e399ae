import { type DatasetCard, datasetCard } from './card.ts';
import { guessDelimiter, readCsv } from './csv-records.ts';
import { DataError } from './error.ts';
import { readJsonArray, readJsonLines } from './json-records.ts';
import { type Container, type DataRecord, isBlank, type Records, toUtf8 } from './records.ts';
import type { DataRow, RejectedRow } from './row.ts';
import { type Fields, ROW_FORMATS, type RowFormatId, type RowText, readPair, rowFormatOf } from './row-formats.ts';

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
export function parseDataset(bytes: Uint8Array, options: ParseOptions): Dataset {
  const { fileName, mapping, responseNames } = options;
  const utf8 = toUtf8(bytes);
  if (isBlank(utf8)) throw new DataError('empty-file', `${fileName}: is empty; choose a file with at least one row`);
  const container = containerOf(utf8, fileName);
  const { records, emptyRows } = readRecords(utf8, container);
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

function containerOf(utf8: Uint8Array, fileName: string): Container {
  const magic = String.fromCharCode(...utf8.subarray(0, 4));
  const binary =
    magic === 'PAR1'
      ? 'Parquet'
      : magic.startsWith('PK')
        ? 'a zip archive or spreadsheet'
        : magic.startsWith('\x1f\x8b')
          ? 'gzip'
          : null;
  if (binary || utf8.subarray(0, 1024).includes(0)) {
    throw new DataError(
      'unsupported-format',
      `${fileName}: got ${binary ?? 'a binary file'}, expected JSON, JSONL, CSV or TSV; export it as one of these`,
    );
  }
  const extension = /\.([a-z]+)$/i.exec(fileName)?.[1]?.toLowerCase();
  const first = String.fromCharCode(utf8.find((byte) => byte > 32) ?? 32);
  if (first === '[' && extension !== 'csv' && extension !== 'tsv') return 'json';
  if (first === '{' || extension === 'jsonl' || extension === 'ndjson') return 'jsonl';
  if (extension === 'csv' || extension === 'tsv') return extension;
  if (extension === 'json') {
    throw new DataError(
      'unsupported-format',
      `${fileName}: got neither a JSON array nor an object on each line; expected one of these`,
    );
  }
  return guessDelimiter(utf8) === '\t' ? 'tsv' : 'csv';
}

function readRecords(utf8: Uint8Array, container: Container): Records {
  switch (container) {
    case 'json':
      return readJsonArray(utf8);
    case 'jsonl':
      return readJsonLines(utf8);
    case 'tsv':
      return readCsv(utf8, '\t');
    case 'csv':
      return readCsv(utf8, guessDelimiter(utf8));
    default:
      return container satisfies never;
  }
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

function lowerCase(record: Readonly<Record<string, unknown>>): Fields {
  return new Map(Object.entries(record).map(([name, value]) => [name.trim().toLowerCase(), value]));
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
