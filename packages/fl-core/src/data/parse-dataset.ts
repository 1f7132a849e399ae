import { type DatasetCard, datasetCard } from './card.ts';
import { type ColumnMapping, checkColumns, listed, type PreferenceMapping } from './columns.ts';
import type { Dialogue } from './conversation.ts';
import { DataError } from './error.ts';
import { type ImportOptions, importRows } from './import-rows.ts';
import { type FileRecords, readFileRecords } from './read-records.ts';
import type { DataRow, RejectedRow } from './row.ts';
import {
  type Fields,
  lowerCase,
  ROW_FORMATS,
  type RowFormatId,
  type RowText,
  readPair,
  rowFormatOf,
} from './row-formats.ts';

export type { ColumnMapping, PreferenceMapping };

export interface ParseOptions extends ImportOptions {
  /** For the task at hand: prompt and response, or for preferences prompt, chosen and rejected. */
  readonly mapping?: ColumnMapping | PreferenceMapping | undefined;
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
 * Reads a data file for supervised fine-tuning: any container of readFileRecords, any format of ROW_FORMATS.
 * A row that cannot be used is rejected with its line and reason and never stops the rest; blank rows are skipped and
 * of identical rows the first is kept, both counted in the card. Throws DataError 'empty-file', 'unsupported-format'
 * (archives, spreadsheets), 'damaged', 'too-large' or 'unknown-column' (a mapping to columns that are not there).
 */
export async function parseDataset(bytes: Uint8Array, options: ParseOptions): Promise<Dataset> {
  const { fileName, responseNames } = options;
  const mapping = ownMapping(options);
  const mapped = mapping ? [mapping.prompt, mapping.response] : [];
  const file = await readFileRecords(bytes, fileName, { columns: mapped });
  refuseWrongContainer(file, options);
  checkColumns(file.records, mapped, fileName);
  const { rows, rejected, duplicateRows, format } = importRows<Dialogue, RowFormatId>(file.records, options, {
    read(fields) {
      const { format, text } = readRow(fields, mapping);
      if ('reason' in text || !responseNames || !Object.hasOwn(responseNames, text.response)) return { format, text };
      return { format, text: { ...text, response: responseNames[text.response] ?? text.response } };
    },
    key: ({ history, prompt, response }, by) => [history, prompt, by === 'row' ? response : ''],
  });
  const counts = { rejected, emptyRows: file.emptyRows, duplicateRows };
  return {
    format: rows.length === 0 ? null : mapping ? 'mapping' : format,
    rows,
    rejected,
    card: datasetCard(rows, { fileName, fileBytes: bytes.byteLength, container: file.container, ...counts }),
  };
}

function ownMapping({ mapping, fileName }: ParseOptions): ColumnMapping | undefined {
  if (!mapping || 'response' in mapping) return mapping;
  throw new DataError(
    'unknown-column',
    `${fileName}: the mapping names chosen and rejected answers; supervised fine-tuning expects prompt and response`,
  );
}

function readRow(fields: Fields, mapping?: ColumnMapping): { format?: RowFormatId; text: RowText } {
  if (mapping) return { text: readPair(fields, mapping.prompt.toLowerCase(), mapping.response.toLowerCase()) };
  const format = rowFormatOf(fields);
  if (format) return { format, text: ROW_FORMATS[format].read(fields) };
  const names = listed([...fields.keys()]);
  return { text: { reason: `has the fields ${names}, expected for instance prompt and response; map the columns` } };
}

// Without this, a file of another kind would come out as a long list of rejected lines.
function refuseWrongContainer({ records, container }: FileRecords, { fileName, mapping }: ParseOptions): void {
  const name = fileName.replace(/\.gz$/i, '');
  const refuse = (got: string): never => {
    throw new DataError(
      'unsupported-format',
      `${fileName}: got ${got}; expected JSON, JSON Lines, CSV, TSV or Parquet with a prompt and a response in each row, or ` +
        'plain text named .txt',
    );
  };
  if (/\.json$/i.test(name) && container === 'jsonl' && records.every((record) => 'reason' in record)) {
    refuse('JSON that is neither an array or object of records nor an object on each line');
  }
  const table = container === 'csv' || container === 'tsv';
  if (!table || mapping || /\.(csv|tsv)$/i.test(name)) return;
  if (!records.some((record) => 'fields' in record && rowFormatOf(lowerCase(record.fields)) !== undefined)) {
    refuse('plain text');
  }
}
