import { gunzipSync } from 'node:zlib';
import { parseDataset } from '@cotune/fl-core';

export interface NamedFile {
  readonly bytes: Uint8Array;
  readonly fileName: string;
}

const LINE_END = 10;

/**
 * Several files as one: JSON Lines one after the other, anything else as JSON Lines of the prompts and responses read from
 * each. One file stays as it is.
 */
export async function joinFiles(fileName: string, files: readonly NamedFile[]): Promise<NamedFile> {
  const [only] = files;
  if (only && files.length === 1) return only;
  const parts: Uint8Array[] = [];
  for (const file of files) {
    if (/\.jsonl(\.gz)?$/.test(file.fileName)) {
      const lines = file.fileName.endsWith('.gz') ? gunzipSync(file.bytes) : file.bytes;
      parts.push(lines);
      if (lines.at(-1) !== LINE_END) parts.push(new Uint8Array([LINE_END]));
    } else {
      const { rows } = await parseDataset(file.bytes, { fileName: file.fileName, dedupe: 'none' });
      const lines = rows.map(({ prompt, response }) => `${JSON.stringify({ prompt, response })}\n`);
      parts.push(new TextEncoder().encode(lines.join('')));
    }
  }
  return { fileName, bytes: Buffer.concat(parts) };
}
