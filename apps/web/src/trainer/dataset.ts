import { type DataRow, loadTokenizer, parseDataset, type Tokenizer, tokenizeRows } from '@cotune/fl-core';
import { httpSource, modelManifest, type TokenizedExample } from '@cotune/kernels';
import type { DataReport, DataSettings, TokenFigures } from './messages.ts';

const PREVIEW_ROWS = 5;
const SHOWN_REJECTIONS = 100;
const HISTOGRAM_BINS = 24;

/** An owner's data, ready to train on. */
export interface LocalData {
  readonly examples: readonly TokenizedExample[];
  readonly rows: readonly DataRow[];
  readonly report: DataReport;
}

/** The tokenizer of a model directory behind an address. */
export async function fetchTokenizer(modelUrl: string): Promise<Tokenizer> {
  const source = httpSource(modelUrl);
  const text = async (name: string) => new TextDecoder().decode(await source.read(name));
  const { architecture } = modelManifest.parse(JSON.parse(await text('model.json')));
  return loadTokenizer(await text('tokenizer.json'), architecture);
}

/** Parses and tokenises a file. Bad rows are listed by line; throws DataError only when the whole file is of no use. */
export async function readDataset(
  file: { readonly name: string; readonly bytes: Uint8Array },
  tokenizer: Tokenizer,
  { template, maxSeqLength }: DataSettings,
): Promise<LocalData> {
  const dataset = await parseDataset(file.bytes, { fileName: file.name });
  const { examples, rows, rejected, truncatedRows } = tokenizeRows(dataset.rows, { template, tokenizer, maxSeqLength });
  const allRejected = [...dataset.rejected, ...rejected].sort((a, b) => a.line - b.line);
  const preview = rows.slice(0, PREVIEW_ROWS).map(({ prompt, response }, i) => ({
    prompt: prompt.slice(0, 400),
    response: response.slice(0, 400),
    tokens: examples[i]?.inputIds.length ?? 0,
  }));
  return {
    examples,
    rows,
    report: {
      name: file.name,
      bytes: file.bytes.byteLength,
      format: `${dataset.card.container.toUpperCase()}${dataset.format ? `, ${dataset.format}` : ''}`,
      preview,
      examples: examples.length,
      rejected: allRejected.slice(0, SHOWN_REJECTIONS),
      rejectedCount: allRejected.length,
      duplicates: dataset.card.duplicateRows,
      tokens: tokenFigures(
        examples.map(({ inputIds }) => inputIds.length),
        truncatedRows,
      ),
    },
  };
}

/** Figures of token lengths; zeros when there are none. */
export function tokenFigures(lengths: readonly number[], truncated: number): TokenFigures {
  const sorted = [...lengths].sort((a, b) => a - b);
  const max = sorted.at(-1) ?? 0;
  const histogram = new Array<number>(HISTOGRAM_BINS).fill(0);
  for (const length of lengths) {
    const bin = Math.min(HISTOGRAM_BINS - 1, Math.floor((length * HISTOGRAM_BINS) / Math.max(1, max)));
    histogram[bin] = (histogram[bin] ?? 0) + 1;
  }
  const total = lengths.reduce((sum, length) => sum + length, 0);
  return { total, median: sorted[Math.floor(sorted.length / 2)] ?? 0, max, truncated, histogram };
}
