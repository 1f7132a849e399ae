import { crc32 } from '@cotune/fl-core/protocol';

export interface ZipEntry {
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/**
 * A ZIP archive of stored (uncompressed) files: adapters do not compress. Format: PKWARE APPNOTE 6.3, sections 4.3.7, 4.3.12 and
 * 4.3.16; sizes must be below 4 GiB.
 */
export function zipFiles(entries: readonly ZipEntry[]): Blob {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  const directory: Uint8Array<ArrayBuffer>[] = [];
  let offset = 0;
  for (const { name, bytes } of entries) {
    const nameBytes = new TextEncoder().encode(name);
    // version 2.0, UTF-8 names, stored, 1980-01-01 00:00, crc, sizes, name length, no extra field
    const fields = [20, 0x0800, 0, 0, 0x21].map((value) => [value, 2] as const);
    const sizes = [crc32(bytes), bytes.byteLength, bytes.byteLength].map((value) => [value, 4] as const);
    const local = record([[0x04034b50, 4], ...fields, ...sizes, [nameBytes.length, 2], [0, 2]]);
    const rest = [0, 0, 0, 0].map((value) => [value, 2] as const); // extra, comment, disk, internal attributes
    directory.push(
      record([[0x02014b50, 4], [20, 2], ...fields, ...sizes, [nameBytes.length, 2], ...rest, [0, 4], [offset, 4]]),
      nameBytes,
    );
    parts.push(local, nameBytes, bytes);
    offset += local.length + nameBytes.length + bytes.byteLength;
  }
  const directoryBytes = directory.reduce((sum, part) => sum + part.length, 0);
  const count = entries.length;
  const end = record([
    [0x06054b50, 4],
    [0, 2],
    [0, 2],
    [count, 2],
    [count, 2],
    [directoryBytes, 4],
    [offset, 4],
    [0, 2],
  ]);
  return new Blob([...parts, ...directory, end], { type: 'application/zip' });
}

/** Little-endian fields of 2 or 4 bytes. */
function record(fields: readonly (readonly [value: number, bytes: 2 | 4])[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(fields.reduce((sum, [, bytes]) => sum + bytes, 0));
  const view = new DataView(out.buffer);
  let at = 0;
  for (const [value, bytes] of fields) {
    if (bytes === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += bytes;
  }
  return out;
}
