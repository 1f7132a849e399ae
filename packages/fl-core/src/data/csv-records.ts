import Papa from 'papaparse';
import { type DataRecord, isBlank, MAX_RECORD_BYTES, type Records, recordText } from './records.ts';

const NEWLINE = 10;
const RETURN = 13;
const QUOTE = 34;

export type Delimiter = ',' | ';' | '\t';

/**
 * Delimited text with a header line (RFC 4180: quoted fields may hold delimiters, doubled quotes and line ends).
 * Records are cut from the bytes first, so that bad UTF-8, an unclosed quote or a wrong number of fields costs only
 * its own record. `bytes` is UTF-8 without a byte order mark.
 */
export function readCsv(bytes: Uint8Array, delimiter: Delimiter): Records & { readonly columns: readonly string[] } {
  const records: DataRecord[] = [];
  let emptyRows = 0;
  let columns: string[] | undefined;
  for (const { line, row, reason } of cutRecords(bytes, delimiter.charCodeAt(0))) {
    if (reason !== undefined) {
      records.push({ line, reason });
      continue;
    }
    if (isBlank(row)) {
      emptyRows++;
      continue;
    }
    const decoded = recordText(row);
    if ('reason' in decoded) {
      records.push({ line, reason: decoded.reason });
      continue;
    }
    const { data, errors } = Papa.parse<string[]>(decoded.text, { delimiter, newline: '\n' });
    const values = data[0] ?? [];
    if (columns === undefined) columns = values.map((name) => name.trim());
    else if (errors.length > 0 || data.length !== 1) records.push({ line, reason: 'has a misplaced quote' });
    else if (values.length !== columns.length) {
      records.push({ line, reason: `has ${values.length} fields, expected ${columns.length}` });
    } else if (values.every((value) => value.trim() === '')) emptyRows++;
    else records.push({ line, fields: Object.fromEntries(columns.map((name, i) => [name, values[i]])) });
  }
  return { records, emptyRows, columns: columns ?? [] };
}

/** The delimiter that the header line holds most of. */
export function guessDelimiter(bytes: Uint8Array): Delimiter {
  const newline = bytes.indexOf(NEWLINE);
  const header = new TextDecoder().decode(
    bytes.subarray(0, Math.min(newline === -1 ? bytes.length : newline, MAX_RECORD_BYTES)),
  );
  const unquoted = header.replace(/"[^"]*"/g, '');
  const countOf = (delimiter: string): number => unquoted.split(delimiter).length;
  const candidates: Delimiter[] = [',', '\t', ';'];
  return candidates.reduce((best, next) => (countOf(next) > countOf(best) ? next : best));
}

interface Cut {
  readonly line: number;
  readonly row: Uint8Array;
  readonly reason?: string;
}

function* cutRecords(bytes: Uint8Array, delimiter: number): Generator<Cut> {
  let line = 1;
  for (let start = 0; start < bytes.length; ) {
    const end = recordEnd(bytes, start, delimiter);
    if (end === undefined) {
      yield { line, row: new Uint8Array(), reason: 'has a quote that is neither closed nor doubled' };
      const newline = bytes.indexOf(NEWLINE, start);
      start = newline === -1 ? bytes.length : newline + 1;
      line++;
      continue;
    }
    yield { line, row: bytes.subarray(start, end > start && bytes[end - 1] === RETURN ? end - 1 : end) };
    for (let i = bytes.indexOf(NEWLINE, start); i !== -1 && i <= end; i = bytes.indexOf(NEWLINE, i + 1)) line++;
    start = end + 1;
  }
}

/** Index of the line end after the record at `start`, or undefined when a quoted field in it is broken. */
function recordEnd(bytes: Uint8Array, start: number, delimiter: number): number | undefined {
  let atFieldStart = true;
  let at = start;
  while (at < bytes.length && bytes[at] !== NEWLINE) {
    if (atFieldStart && bytes[at] === QUOTE) {
      const close = closingQuote(bytes, at, delimiter);
      if (close === undefined) return undefined;
      at = close;
    }
    atFieldStart = bytes[at] === delimiter;
    at++;
  }
  return at;
}

/**
 * Index of the quote that closes the field opened at `open`. Undefined when there is none within a record's limit, or
 * when a quote comes first that is neither doubled nor before a delimiter or line end: most often the next record's.
 */
function closingQuote(bytes: Uint8Array, open: number, delimiter: number): number | undefined {
  const limit = Math.min(bytes.length, open + 2 * MAX_RECORD_BYTES);
  for (let i = bytes.indexOf(QUOTE, open + 1); i !== -1 && i < limit; i = bytes.indexOf(QUOTE, i + 1)) {
    const next = bytes[i + 1];
    if (next === QUOTE) i++;
    else return next === undefined || next === delimiter || next === NEWLINE || next === RETURN ? i : undefined;
  }
  return undefined;
}
