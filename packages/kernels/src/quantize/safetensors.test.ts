import { describe, expect, it } from 'vitest';
import { ModelFileError } from './error.ts';
import { memorySource } from './memory-files.ts';
import { openSafetensors } from './safetensors.ts';
import { encodeSafetensors } from './safetensors-encode.ts';

/** A file with any header, right or wrong, over the data given. */
function handMade(header: unknown, data: Uint8Array, headerBytes?: bigint): Uint8Array {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const file = new Uint8Array(8 + text.length + data.length);
  new DataView(file.buffer).setBigUint64(0, headerBytes ?? BigInt(text.length), true);
  file.set(text, 8);
  file.set(data, 8 + text.length);
  return file;
}

const open = (file: Uint8Array) => openSafetensors(memorySource({ 'model.safetensors': file }));

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => new Error('did not throw'),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ModelFileError)) throw error;
  expect(error.message.split('\n')).toHaveLength(1);
  return error.code;
}

describe('safetensors', () => {
  it('reads back what was encoded, whole and by rows, with an unaligned header', async () => {
    const a = { name: 'a', shape: [3, 5], data: Float32Array.from({ length: 15 }, (_, i) => Math.sin(i) * 3) };
    const b = { name: 'b.weight', shape: [7], data: Float32Array.from({ length: 7 }, (_, i) => 1 / (i + 1)) };
    const reader = await open(encodeSafetensors([a, b]));
    expect([...reader.tensors.keys()]).toEqual(['a', 'b.weight']);
    expect(await reader.rows('a')).toEqual(a.data);
    expect(await reader.rows('b.weight')).toEqual(b.data);
    expect(await reader.rows('a', 1, 3)).toEqual(a.data.slice(5, 15));
    const header = { odd: { dtype: 'F32', shape: [2], data_offsets: [0, 8] } };
    const odd = handMade(`${JSON.stringify(header)} `.padEnd(61), new Uint8Array(Float32Array.of(1.5, -2.25).buffer));
    expect(await (await open(odd)).rows('odd')).toEqual(Float32Array.of(1.5, -2.25));
  });

  it('decodes F16 and BF16, subnormals and infinities included', async () => {
    // Known bit patterns of IEEE 754 binary16 and of bfloat16.
    const f16 = [
      [0x3c00, 1],
      [0xc000, -2],
      [0x3555, 0.333251953125],
      [0x7bff, 65504],
      [0x0001, 2 ** -24],
      [0x83ff, -1023 * 2 ** -24],
      [0x7c00, Infinity],
      [0x8000, -0],
    ] as const;
    const bf16 = [
      [0x3f80, 1],
      [0xc040, -3],
      [0x3eab, 0.333984375],
      [0x0080, 2 ** -126],
    ] as const;
    const bits = Uint16Array.from([...f16, ...bf16].map(([pattern]) => pattern));
    const header = {
      h: { dtype: 'F16', shape: [8], data_offsets: [0, 16] },
      b: { dtype: 'BF16', shape: [2, 2], data_offsets: [16, 24] },
    };
    const reader = await open(handMade(header, new Uint8Array(bits.buffer)));
    expect([...(await reader.rows('h'))]).toEqual(f16.map(([, value]) => value));
    expect([...(await reader.rows('b'))]).toEqual(bf16.map(([, value]) => value));
    expect([...(await reader.rows('b', 1, 2))]).toEqual([0.333984375, 2 ** -126]);
  });

  it('reads a sharded set through its index', async () => {
    const tensor = (name: string, seed: number) => ({
      name,
      shape: [2, 3],
      data: Float32Array.from({ length: 6 }, (_, i) => seed + i),
    });
    const files = {
      'model-00001-of-00002.safetensors': encodeSafetensors([tensor('x', 1)]),
      'model-00002-of-00002.safetensors': encodeSafetensors([tensor('y', 10), tensor('z', 20)]),
    };
    const index = (map: Record<string, string>) => JSON.stringify({ metadata: { total_size: 72 }, weight_map: map });
    const [first, second] = Object.keys(files) as [string, string];
    const good = { ...files, 'model.safetensors.index.json': index({ z: second, x: first, y: second }) };
    const reader = await openSafetensors(memorySource(good));
    expect([...reader.tensors.keys()]).toEqual(['x', 'y', 'z']);
    expect(await reader.rows('z', 1, 2)).toEqual(Float32Array.of(23, 24, 25));

    const broken = (map: Record<string, string>, extra = files) =>
      codeOf(openSafetensors(memorySource({ ...extra, 'model.safetensors.index.json': index(map) })));
    expect(await broken({ x: second })).toBe('missing-tensor');
    expect(await broken({ x: 'gone.safetensors' })).toBe('missing-file');
    expect(await broken({ x: '../up.safetensors' })).toBe('malformed');
  });

  it.each([
    ['an array for a header', handMade([1], new Uint8Array()), 'malformed'],
    ['text that is no JSON', handMade('{"a": ', new Uint8Array()), 'malformed'],
    ['a header beyond the limit', handMade('{}', new Uint8Array(), 100_000_001n), 'malformed'],
    ['a header length that would wrap a 53-bit number', handMade('{}', new Uint8Array(), 2n ** 63n), 'malformed'],
    ['a header longer than the file', handMade('{}', new Uint8Array(), 3n), 'truncated'],
    ['an entry without offsets', handMade({ a: { dtype: 'F32', shape: [1] } }, new Uint8Array(4)), 'malformed'],
    [
      'a negative offset',
      handMade({ a: { dtype: 'F32', shape: [1], data_offsets: [-4, 0] } }, new Uint8Array(4)),
      'malformed',
    ],
    [
      'a shape that needs more bytes',
      handMade({ a: { dtype: 'F32', shape: [2], data_offsets: [0, 4] } }, new Uint8Array(4)),
      'malformed',
    ],
    ['a null entry', handMade({ a: null }, new Uint8Array(4)), 'malformed'],
    [
      'data that end too soon',
      handMade({ a: { dtype: 'F32', shape: [2], data_offsets: [0, 8] } }, new Uint8Array(7)),
      'truncated',
    ],
    [
      'bytes after the last tensor',
      handMade({ a: { dtype: 'F32', shape: [1], data_offsets: [0, 4] } }, new Uint8Array(5)),
      'malformed',
    ],
    ['a hole', handMade({ a: { dtype: 'F32', shape: [1], data_offsets: [4, 8] } }, new Uint8Array(8)), 'malformed'],
    [
      'an overlap',
      handMade(
        {
          a: { dtype: 'F32', shape: [2], data_offsets: [0, 8] },
          b: { dtype: 'F32', shape: [2], data_offsets: [4, 12] },
        },
        new Uint8Array(12),
      ),
      'malformed',
    ],
    [
      'an unknown dtype',
      handMade({ a: { dtype: 'Q4', shape: [1], data_offsets: [0, 4] } }, new Uint8Array(4)),
      'unsupported-dtype',
    ],
    ['an empty file', new Uint8Array(), 'truncated'],
  ])('refuses %s', async (_, file, code) => {
    expect(await codeOf(open(file))).toBe(code);
  });

  it('opens a file with whole-number tensors but refuses to read them as weights', async () => {
    const reader = await open(handMade({ a: { dtype: 'I64', shape: [1], data_offsets: [0, 8] } }, new Uint8Array(8)));
    expect(await codeOf(reader.rows('a'))).toBe('unsupported-dtype');
    expect(await codeOf(reader.rows('b'))).toBe('missing-tensor');
  });

  it('refuses every truncation of a good file, and never anything but a ModelFileError', async () => {
    const tensors = ['p', 'q'].map((name) => ({ name, shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) }));
    const file = encodeSafetensors(tensors);
    for (let length = 0; length < file.length; length++) {
      expect(await codeOf(open(file.subarray(0, length)))).toBe('truncated');
    }
    for (let at = 0; at < file.length - 32; at++) {
      const damaged = new Uint8Array(file);
      damaged[at] = (damaged[at] ?? 0) ^ 0x41;
      await open(damaged).catch((error: unknown) => expect(error).toBeInstanceOf(ModelFileError));
    }
  });

  it('says which file is missing and where it looked', async () => {
    await expect(openSafetensors(memorySource({}, 'here'))).rejects.toThrow(/^model\.safetensors: .*here$/);
  });
});
