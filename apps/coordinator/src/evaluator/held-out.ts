import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { FlError, loadTokenizer, parseDataset, type RunConfig, tokenizeRows } from '@cotune/fl-core';
import type { ModelSource, TokenizedExample } from '@cotune/kernels';

/** Held-out data that runs may be evaluated on; never sent to participants. */
export interface HeldOutFile {
  readonly id: string;
  readonly title: string;
  readonly file: string;
}

export interface HeldOutCatalog {
  list(): Promise<{ id: string; title: string; rows: number }[]>;
  has(evaluationId: string): boolean;
  /** Tokenised as participants tokenise theirs. Throws FlError 'not-found' or 'invalid' when no row is usable. */
  examples(evaluationId: string, source: ModelSource, config: RunConfig): Promise<TokenizedExample[]>;
}

export function createHeldOutCatalog(files: readonly HeldOutFile[]): HeldOutCatalog {
  const byId = new Map(files.map((file) => [file.id, file]));
  const read = async ({ file }: HeldOutFile) => parseDataset(await readFile(file), { fileName: basename(file) });
  return {
    has: (evaluationId) => byId.has(evaluationId),
    list: () =>
      Promise.all(
        files.map(async (file) => ({ id: file.id, title: file.title, rows: (await read(file)).rows.length })),
      ),
    async examples(evaluationId, source, { template, maxSeqLength }) {
      const file = byId.get(evaluationId);
      if (!file) throw new FlError('not-found', `unknown evaluation "${evaluationId}"`);
      const tokenizer = loadTokenizer(await source.tokenizerJson(), source.config);
      const { examples } = tokenizeRows((await read(file)).rows, { tokenizer, template, maxSeqLength });
      if (examples.length === 0) throw new FlError('invalid', `no usable row in ${file.title}`);
      return examples;
    },
  };
}
