import { DataError } from './error.ts';

/** A gzip file may unpack to this much; more is refused before it fills the memory. */
export const MAX_UNPACKED_BYTES = 512 * 2 ** 20;

export function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/**
 * What a gzip file holds. Throws DataError 'too-large' as soon as the output passes `limit` bytes (a few kilobytes can
 * unpack to gigabytes), and 'damaged' for one that breaks off or fails its checksum.
 */
export async function gunzip(
  bytes: Uint8Array,
  fileName: string,
  limit: number = MAX_UNPACKED_BYTES,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  // A copy: DecompressionStream takes no view of shared memory.
  const reader = new Blob([new Uint8Array(bytes)]).stream().pipeThrough(new DecompressionStream('gzip')).getReader();
  for (;;) {
    let chunk: ReadableStreamReadResult<Uint8Array>;
    try {
      chunk = await reader.read();
    } catch {
      throw new DataError('damaged', `${fileName}: is a damaged or incomplete gzip file; download or pack it again`);
    }
    if (chunk.done) break;
    size += chunk.value.byteLength;
    if (size > limit) {
      await reader.cancel().catch(() => {});
      throw new DataError(
        'too-large',
        `${fileName}: unpacks to more than ${limit} bytes; unpack it and split it into smaller files`,
      );
    }
    chunks.push(chunk.value);
  }
  const all = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.byteLength;
  }
  return all;
}
