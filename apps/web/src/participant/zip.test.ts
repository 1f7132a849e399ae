import { crc32 as zlibCrc32 } from 'node:zlib';
import { expect, it } from 'vitest';
import { zipFiles } from './zip.ts';

/** Reads the archive from its end, as unpackers do: directory, then each file where the directory says it is. */
async function unzip(zip: Blob): Promise<Record<string, Buffer>> {
  const bytes = Buffer.from(await zip.arrayBuffer());
  const end = bytes.length - 22;
  expect(bytes.readUInt32LE(end)).toBe(0x06054b50);
  const files: Record<string, Buffer> = {};
  let at = bytes.readUInt32LE(end + 16);
  for (let i = 0; i < bytes.readUInt16LE(end + 10); i++) {
    expect(bytes.readUInt32LE(at)).toBe(0x02014b50);
    const nameLength = bytes.readUInt16LE(at + 28);
    const name = bytes.toString('utf8', at + 46, at + 46 + nameLength);
    const local = bytes.readUInt32LE(at + 42);
    expect(bytes.readUInt32LE(local)).toBe(0x04034b50);
    const start = local + 30 + bytes.readUInt16LE(local + 26) + bytes.readUInt16LE(local + 28);
    const file = bytes.subarray(start, start + bytes.readUInt32LE(at + 24));
    if (zlibCrc32) expect(bytes.readUInt32LE(at + 16)).toBe(zlibCrc32(file));
    expect(bytes.readUInt32LE(local + 14)).toBe(bytes.readUInt32LE(at + 16));
    files[name] = file;
    at += 46 + nameLength;
  }
  expect(at).toBe(end);
  return files;
}

it('packs files so that they come out as they were', async () => {
  const weights = Uint8Array.from({ length: 1000 }, (_, i) => (i * 37) % 251);
  const text = new TextEncoder().encode('{"r": 8, "für": "ä"}');
  const files = await unzip(
    zipFiles([
      { name: 'a.bin', bytes: weights },
      { name: 'größe.json', bytes: text },
    ]),
  );
  expect(Object.keys(files)).toEqual(['a.bin', 'größe.json']);
  expect(files['a.bin']?.equals(weights)).toBe(true);
  expect(files['größe.json']?.toString('utf8')).toBe('{"r": 8, "für": "ä"}');
});
