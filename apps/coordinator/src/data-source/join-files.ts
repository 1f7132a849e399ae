import { DataError, gunzip, isGzip, MAX_UNPACKED_BYTES, readFileRecords } from '@cotune/fl-core';

export interface NamedFile {
  readonly bytes: Uint8Array;
  readonly fileName: string;
}

const LINE_END = 10;

/**
 * Several files as one: JSON Lines one after the other, anything else as JSON Lines of its records, so that whoever reads
 * the whole chooses columns and counts what cannot be read. One file stays as it is. Throws DataError for a part that is
 * of no use as a whole, and 'too-large' when the packed ones unpack to more than `limit` bytes together.
 */
export async function joinFiles(
  fileName: string,
  files: readonly NamedFile[],
  limit: number = MAX_UNPACKED_BYTES,
): Promise<NamedFile> {
  const [only] = files;
  if (only && files.length === 1) return only;
  const parts: Uint8Array[] = [];
  let unpackedBytes = 0;
  for (const file of files) {
    if (!/\.jsonl(\.gz)?$/.test(file.fileName)) {
      parts.push(await recordLines(file));
      continue;
    }
    const packed = isGzip(file.bytes);
    const lines = packed ? await gunzip(file.bytes, file.fileName, limit) : file.bytes;
    if (packed) unpackedBytes += lines.byteLength;
    if (unpackedBytes > limit) {
      throw new DataError(
        'too-large',
        `${file.fileName}: with the files before it, unpacks to more than ${limit} bytes`,
      );
    }
    parts.push(lines);
    if (lines.at(-1) !== LINE_END) parts.push(new Uint8Array([LINE_END]));
  }
  return { fileName, bytes: Buffer.concat(parts) };
}

/** A record that could not be read becomes a line that cannot be read either, and a blank one a blank line. */
async function recordLines({ bytes, fileName }: NamedFile): Promise<Uint8Array> {
  const { records, emptyRows } = await readFileRecords(bytes, fileName);
  const lines = records.map((record) =>
    JSON.stringify('fields' in record ? record.fields : `${fileName}, line ${record.line}: ${record.reason}`),
  );
  return new TextEncoder().encode(`${[...lines, ...Array<string>(emptyRows).fill('')].join('\n')}\n`);
}
