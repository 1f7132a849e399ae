import { guessDelimiter, headerOf, readCsv } from './csv-records.ts';
import { toUtf8 } from './encoding.ts';
import { DataError } from './error.ts';
import { gunzip, isGzip } from './gunzip.ts';
import { objectShape, parseRecord, readJsonElements, readJsonLines } from './json-records.ts';
import { isKnownRecord, isKnownTable } from './known-record.ts';
import { isParquet, readParquet } from './parquet-records.ts';
import { type Container, isBlank, lineEndOf, MAX_RECORD_BYTES, type Records } from './records.ts';
import { readText } from './text-records.ts';

export type FileRecords = Records & { readonly container: Container };

/**
 * The records of a data file, whatever they mean: a JSON array, a JSON object of records or around an array of them, JSON
 * Lines, CSV, TSV, Parquet or plain text, told by the first bytes and the name; each also inside gzip. `columns` names
 * columns that make a table of a file that might be text. Throws DataError 'empty-file', 'unsupported-format' (archives,
 * spreadsheets), 'damaged' or 'too-large'.
 */
export async function readFileRecords(
  bytes: Uint8Array,
  fileName: string,
  { columns = [] }: { readonly columns?: readonly string[] } = {},
): Promise<FileRecords> {
  if (isGzip(bytes)) {
    const inside = await gunzip(bytes, fileName);
    if (isGzip(inside)) {
      throw new DataError(
        'unsupported-format',
        `${fileName}: is gzip inside gzip; unpack it once and choose the result`,
      );
    }
    return readFileRecords(inside, fileName.replace(/\.gz$/i, ''), { columns });
  }
  if (isParquet(bytes)) return { container: 'parquet', ...(await readParquet(bytes, fileName)) };
  const utf8 = toUtf8(bytes);
  if (isBlank(utf8)) throw new DataError('empty-file', `${fileName}: is empty; choose a file with at least one row`);
  const layout = layoutOf(utf8, fileName, columns);
  return { container: layout.container, ...readLayout(utf8, layout) };
}

/** A container, and for JSON where its records begin and whether they have more than the file's end after them. */
type Layout =
  | { readonly container: 'json'; readonly from: number; readonly wrapped: boolean }
  | { readonly container: Exclude<Container, 'json' | 'parquet'> }
  | { readonly container: 'json'; readonly whole: true };

const TEXT_EXTENSIONS = ['json', 'jsonl', 'ndjson', 'csv', 'tsv', 'txt'];

function layoutOf(utf8: Uint8Array, fileName: string, columns: readonly string[]): Layout {
  const extension = /\.([a-z]+)$/i.exec(fileName)?.[1]?.toLowerCase() ?? '';
  refuseBinary(utf8, fileName, extension);
  const first = String.fromCharCode(utf8.find((byte) => byte > 32) ?? 32);
  const table = extension === 'csv' || extension === 'tsv';
  if (first === '[' && !table && extension !== 'txt') return { container: 'json', from: 0, wrapped: false };
  if (extension === 'jsonl' || extension === 'ndjson') return { container: 'jsonl' };
  if (first === '{' && !table) return objectLayout(utf8, fileName, columns);
  if (table) return { container: extension };
  if (extension === 'json') {
    throw new DataError(
      'unsupported-format',
      `${fileName}: got neither a JSON array or object nor an object on each line; expected one of these`,
    );
  }
  const delimiter = guessDelimiter(utf8);
  if (extension === 'txt' && !isKnownTable(headerOf(utf8, delimiter), columns)) return { container: 'text' };
  return { container: delimiter === '\t' ? 'tsv' : 'csv' };
}

/** JSON Lines, or one JSON object: of records, around an array of them, or a record by itself. */
function objectLayout(utf8: Uint8Array, fileName: string, columns: readonly string[]): Layout {
  const lineEnd = lineEndOf(utf8);
  const begin = utf8.findIndex((byte) => byte > 32);
  const firstEnd = utf8.indexOf(lineEnd, begin);
  const secondEnd = firstEnd === -1 ? -1 : utf8.indexOf(lineEnd, firstEnd + 1);
  const firstLine = utf8.subarray(begin, firstEnd === -1 ? utf8.length : firstEnd);
  const more = firstEnd !== -1 && !isBlank(utf8.subarray(firstEnd));
  const opensObject = /[[{]\s*$/.test(new TextDecoder().decode(firstLine.subarray(-64)));
  if (more && 'fields' in parseRecord(firstLine, 1)) return { container: 'jsonl' };
  const shape = objectShape(utf8);
  if (!shape.whole && !opensObject) return { container: 'jsonl' };
  if (!shape.whole && more) {
    const secondLine = utf8.subarray(firstEnd + 1, secondEnd === -1 ? utf8.length : secondEnd);
    if ('fields' in parseRecord(secondLine, 2)) return { container: 'jsonl' };
  }
  if (shape.whole && utf8.length <= MAX_RECORD_BYTES) {
    const record = parseRecord(utf8, 1);
    if ('fields' in record && isKnownRecord(record.fields, columns)) return { container: 'json', whole: true };
  }
  const [array, another] = shape.arraysOfObjects;
  if (array !== undefined && another === undefined) return { container: 'json', from: array, wrapped: true };
  if (shape.objects > 0 && shape.objects * 2 > shape.members) return { container: 'json', from: 0, wrapped: false };
  if (!/\.json(\.gz)?$/i.test(fileName)) return { container: 'jsonl' };
  throw new DataError(
    'unsupported-format',
    `${fileName}: got a JSON object whose values are no records; expected an array of objects, an object of objects, or ` +
      'an object around one array of objects',
  );
}

function readLayout(utf8: Uint8Array, layout: Layout): Records {
  switch (layout.container) {
    case 'json':
      if ('whole' in layout) return { records: [parseRecord(utf8, 1)], emptyRows: 0 };
      return readJsonElements(utf8, layout.from, layout);
    case 'jsonl':
      return readJsonLines(utf8);
    case 'tsv':
      return readCsv(utf8, '\t');
    case 'csv':
      return readCsv(utf8, guessDelimiter(utf8));
    case 'text':
      return readText(utf8);
    default:
      return layout satisfies never;
  }
}

/** NUL bytes in a few lines of a file of a known text kind are bad rows; in most lines, or any elsewhere, another kind of file. */
function refuseBinary(utf8: Uint8Array, fileName: string, extension: string): void {
  const head = utf8.subarray(0, 1024);
  const nuls = head.filter((byte) => byte === 0).length;
  const text = TEXT_EXTENSIONS.includes(extension);
  const zip = utf8[0] === 0x50 && utf8[1] === 0x4b;
  if (!zip && (nuls === 0 || (text && (nuls <= head.length / 8 || !mostLinesHoldNuls(utf8))))) return;
  const got = zip
    ? 'a zip archive or spreadsheet'
    : text
      ? 'UTF-16 without a byte order mark, or a binary file'
      : 'a binary file';
  throw new DataError(
    'unsupported-format',
    `${fileName}: got ${got}, expected JSON, JSONL, CSV, TSV, Parquet or plain text in UTF-8; export it as one of these`,
  );
}

/** Of the first lines: a row in another encoding has many NULs too, and costs only itself. */
function mostLinesHoldNuls(bytes: Uint8Array): boolean {
  const head = bytes.subarray(0, 65_536);
  const lineEnd = lineEndOf(head);
  let holding = 0;
  let others = 0;
  for (let start = 0; start < head.length; ) {
    const found = head.indexOf(lineEnd, start);
    const line = head.subarray(start, found === -1 ? head.length : found);
    if (line.includes(0)) holding++;
    else if (!isBlank(line)) others++;
    start += line.length + 1;
  }
  return holding > others;
}
