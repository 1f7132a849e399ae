import { guessDelimiter, readCsv } from './csv-records.ts';
import { DataError } from './error.ts';
import { readJsonArray, readJsonLines } from './json-records.ts';
import { type Container, isBlank, type Records, toUtf8 } from './records.ts';

/**
 * The records of a data file, whatever they mean: a JSON array, JSON Lines, CSV or TSV, told by the first bytes and the
 * name. Throws DataError 'empty-file' or 'unsupported-format' (Parquet, archives, spreadsheets).
 */
export function readFileRecords(bytes: Uint8Array, fileName: string): Records & { readonly container: Container } {
  const utf8 = toUtf8(bytes);
  if (isBlank(utf8)) throw new DataError('empty-file', `${fileName}: is empty; choose a file with at least one row`);
  const container = containerOf(utf8, fileName);
  return { container, ...readRecords(utf8, container) };
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
