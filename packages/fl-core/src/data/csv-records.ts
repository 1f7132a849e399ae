import {
  AMBIGUOUS,
  type DataRecord,
  isBlank,
  lineEndOf,
  MAX_RECORD_BYTES,
  RETURN,
  type Records,
  recordText,
} from './records.ts';

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
  const marks: Marks = { delimiter: delimiter.charCodeAt(0), lineEnd: lineEndOf(bytes) };
  for (const { line, row, reason } of cutRecords(bytes, marks)) {
    if (reason !== undefined) {
      records.push({ line, reason });
      continue;
    }
    if (isBlank(row)) {
      emptyRows++;
      continue;
    }
    const decoded = row.includes(0) ? { reason: 'holds a NUL character' } : recordText(row);
    if ('reason' in decoded) {
      records.push({ line, reason: decoded.reason });
      continue;
    }
    const values = splitFields(decoded.text, delimiter);
    if (columns === undefined) columns = values.map((name) => name.trim());
    else if (values.length !== columns.length) {
      records.push({ line, reason: `has ${values.length} fields, expected ${columns.length}` });
    } else if (values.every((value) => value.trim() === '')) emptyRows++;
    else records.push({ line, fields: fieldsOf(columns, values) });
  }
  return { records, emptyRows, columns: columns ?? [] };
}

/** A record's cells by column; AMBIGUOUS where columns of one name differ. */
function fieldsOf(columns: readonly string[], values: readonly string[]): Readonly<Record<string, unknown>> {
  const fields = new Map<string, unknown>();
  for (const [i, name] of columns.entries()) {
    fields.set(name, fields.has(name) && fields.get(name) !== values[i] ? AMBIGUOUS : values[i]);
  }
  return Object.fromEntries(fields);
}

/** Fields of one record, whose quoted fields are known to be closed. A quote inside an unquoted field is itself. */
function splitFields(text: string, delimiter: Delimiter): string[] {
  if (!text.includes('"')) return text.split(delimiter);
  const fields: string[] = [];
  for (let at = 0; at <= text.length; ) {
    let end: number;
    if (text[at] === '"') {
      let close = text.indexOf('"', at + 1);
      while (close !== -1 && text[close + 1] === '"') close = text.indexOf('"', close + 2);
      end = close === -1 ? text.length : close + 1;
      fields.push(text.slice(at + 1, close === -1 ? undefined : close).replaceAll('""', '"'));
    } else {
      const next = text.indexOf(delimiter, at);
      end = next === -1 ? text.length : next;
      fields.push(text.slice(at, end));
    }
    at = end + 1; // behind the delimiter
  }
  return fields;
}

/** The delimiter that the header line holds most of. */
export function guessDelimiter(bytes: Uint8Array): Delimiter {
  const newline = bytes.indexOf(lineEndOf(bytes));
  const header = new TextDecoder().decode(
    bytes.subarray(0, Math.min(newline === -1 ? bytes.length : newline, MAX_RECORD_BYTES)),
  );
  const unquoted = header.replace(/"[^"]*"/g, '');
  const countOf = (delimiter: string): number => unquoted.split(delimiter).length;
  const candidates: Delimiter[] = [',', '\t', ';'];
  return candidates.reduce((best, next) => (countOf(next) > countOf(best) ? next : best));
}

/** The header line's fields; empty when it cannot be read. */
export function headerOf(bytes: Uint8Array, delimiter: Delimiter): readonly string[] {
  const lineEnd = bytes.indexOf(lineEndOf(bytes));
  const header = bytes.subarray(0, lineEnd === -1 ? bytes.length : lineEnd + 1);
  return header.length > MAX_RECORD_BYTES ? [] : readCsv(header, delimiter).columns;
}

interface Marks {
  readonly delimiter: number;
  readonly lineEnd: number;
}

interface Cut {
  readonly line: number;
  readonly row: Uint8Array;
  readonly reason?: string;
}

function* cutRecords(bytes: Uint8Array, marks: Marks): Generator<Cut> {
  let line = 1;
  for (let start = 0; start < bytes.length; ) {
    const end = recordEnd(bytes, start, marks);
    if (end === undefined) {
      yield { line, row: new Uint8Array(), reason: 'has a quote that is neither closed nor doubled' };
      const lineEnd = bytes.indexOf(marks.lineEnd, start);
      start = lineEnd === -1 ? bytes.length : lineEnd + 1;
      line++;
      continue;
    }
    yield { line, row: bytes.subarray(start, end > start && bytes[end - 1] === RETURN ? end - 1 : end) };
    for (let i = bytes.indexOf(marks.lineEnd, start); i !== -1 && i <= end; i = bytes.indexOf(marks.lineEnd, i + 1))
      line++;
    start = end + 1;
  }
}

/** Index of the line end after the record at `start`, or undefined when a quoted field in it is broken. */
function recordEnd(bytes: Uint8Array, start: number, marks: Marks): number | undefined {
  let atFieldStart = true;
  let at = start;
  while (at < bytes.length && bytes[at] !== marks.lineEnd) {
    if (atFieldStart && bytes[at] === QUOTE) {
      const close = closingQuote(bytes, at, marks);
      if (close === undefined) return undefined;
      at = close;
    }
    atFieldStart = bytes[at] === marks.delimiter;
    at++;
  }
  return at;
}

/**
 * Index of the quote that closes the field opened at `open`. Undefined when there is none within a record's limit, or
 * when a quote comes first that is neither doubled nor before a delimiter or line end: most often the next record's.
 */
function closingQuote(bytes: Uint8Array, open: number, { delimiter, lineEnd }: Marks): number | undefined {
  const limit = Math.min(bytes.length, open + 2 * MAX_RECORD_BYTES);
  for (let i = bytes.indexOf(QUOTE, open + 1); i !== -1 && i < limit; i = bytes.indexOf(QUOTE, i + 1)) {
    const next = bytes[i + 1];
    if (next === QUOTE) i++;
    else return next === undefined || next === delimiter || next === lineEnd || next === RETURN ? i : undefined;
  }
  return undefined;
}
