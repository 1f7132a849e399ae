import { crc32 as zlibCrc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeBitmap,
  decodeVector,
  encodeBitmap,
  encodedBytes,
  encodeVector,
  sha256Hex,
  VECTOR_HEADER_BYTES,
} from './codec.ts';
import { crc32 } from './crc32.ts';
import { halfToSingle, singleToHalf } from './half.ts';

const sampleVector = new Float32Array([1, -2.5, 3.0000002, 1e-40, -0, 65504, 1e-7]);

describe('vector codec', () => {
  it('returns f32 to the bit, NaN and infinities included', () => {
    const vector = new Float32Array([
      ...sampleVector,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      3e38,
    ]);
    const decoded = decodeVector(encodeVector(vector, { dtype: 'f32', round: 4_000_000_000 }));
    expect(decoded).toEqual({ vector, round: 4_000_000_000, dtype: 'f32' });
    expect(Object.is(decoded.vector[4], -0)).toBe(true);
  });

  it('returns f16 within half a unit in the last place', () => {
    fc.assert(
      fc.property(fc.array(fc.float({ min: -60000, max: 60000, noNaN: true }), { maxLength: 40 }), (values) => {
        const vector = new Float32Array(values);
        const { vector: back, dtype } = decodeVector(encodeVector(vector, { dtype: 'f16', round: 1 }));
        expect(dtype).toBe('f16');
        expect(back).toHaveLength(vector.length);
        vector.forEach((value, i) => {
          const tolerance = Math.max(2 ** -25, Math.abs(value) * 2 ** -11);
          expect(Math.abs((back[i] as number) - value)).toBeLessThanOrEqual(tolerance);
        });
      }),
    );
  });

  it('writes the layout that the protocol documents', () => {
    const bytes = encodeVector(new Float32Array([1, -2]), { dtype: 'f32', round: 7 });
    const payload = [0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0];
    const crc = zlibCrc32(Uint8Array.from(payload));
    const crcBytes = [crc & 255, (crc >>> 8) & 255, (crc >>> 16) & 255, crc >>> 24];
    expect([...bytes]).toEqual([0x43, 0x54, 0x56, 0x31, 1, 0, 0, 0, 7, 0, 0, 0, 2, 0, 0, 0, ...crcBytes, ...payload]);
    const half = encodeVector(new Float32Array([1, -2]), { dtype: 'f16', round: 7 });
    expect([...half.subarray(VECTOR_HEADER_BYTES)]).toEqual([0, 0x3c, 0, 0xc0]);
    expect(half[5]).toBe(1);
    expect(encodedBytes(2, 'f16')).toBe(half.length);
  });

  it('reads bytes of any alignment, and copies them', () => {
    const vector = new Float32Array([1.5, -2, 3]);
    for (const dtype of ['f32', 'f16'] as const) {
      const bytes = encodeVector(vector, { dtype, round: 0 });
      for (let shift = 0; shift < 5; shift++) {
        const carrier = new Uint8Array(bytes.length + 9).fill(0xee);
        carrier.set(bytes, shift);
        const view = carrier.subarray(shift, shift + bytes.length);
        const decoded = decodeVector(view);
        view.fill(0);
        expect([...decoded.vector]).toEqual([1.5, -2, 3]);
      }
    }
  });

  it('encodes a view into a larger buffer', () => {
    const view = new Float32Array([9, 1, 2, 9]).subarray(1, 3);
    expect([...decodeVector(encodeVector(view, { dtype: 'f32', round: 0 })).vector]).toEqual([1, 2]);
  });

  it('finds any flipped bit of the payload', () => {
    const bytes = encodeVector(sampleVector, { dtype: 'f32', round: 2 });
    for (let i = VECTOR_HEADER_BYTES; i < bytes.length; i++) {
      const damaged = bytes.slice();
      damaged[i] = (damaged[i] as number) ^ (1 << (i % 8));
      expect(() => decodeVector(damaged)).toThrow(expect.objectContaining({ code: 'wrong-hash' }));
    }
  });

  it.each([
    ['an empty message', () => new Uint8Array(0), 'wrong-shape'],
    ['a cut header', (b: Uint8Array) => b.slice(0, 19), 'wrong-shape'],
    ['a cut payload', (b: Uint8Array) => b.slice(0, -1), 'wrong-shape'],
    ['bytes too many', (b: Uint8Array) => Uint8Array.from([...b, 0]), 'wrong-shape'],
    ['another length', (b: Uint8Array) => change(b, 12, 200), 'wrong-shape'],
    ['another magic', (b: Uint8Array) => change(b, 3, 0x32), 'invalid'],
    ['another version', (b: Uint8Array) => change(b, 4, 2), 'invalid'],
    ['an unknown dtype', (b: Uint8Array) => change(b, 5, 2), 'invalid'],
    ['reserved bits', (b: Uint8Array) => change(b, 7, 1), 'invalid'],
    ['f16 said of f32', (b: Uint8Array) => change(b, 5, 1), 'wrong-shape'],
  ])('refuses %s', (_, damage, code) => {
    expect(() => decodeVector(damage(encodeVector(sampleVector, { dtype: 'f32', round: 2 })))).toThrow(
      expect.objectContaining({ code }),
    );
  });

  it('refuses to send in f16 what does not fit', () => {
    expect(() => encodeVector(new Float32Array([1, 65520]), { dtype: 'f16', round: 0 })).toThrow('use f32');
    expect(decodeVector(encodeVector(new Float32Array([65519]), { dtype: 'f16', round: 0 })).vector[0]).toBe(65504);
  });
});

const change = (bytes: Uint8Array, at: number, to: number): Uint8Array => {
  const copy = bytes.slice();
  copy[at] = to;
  return copy;
};

describe('half precision', () => {
  it('returns each of the 65536 halves', () => {
    for (let half = 0; half < 65536; half++) {
      const value = halfToSingle(half);
      if (Number.isNaN(value)) expect(singleToHalf(value) & 0x7c00).toBe(0x7c00);
      else if (singleToHalf(value) !== half) expect.fail(`half ${half} came back as ${singleToHalf(value)}`);
    }
  });

  it.each([
    [1, 0x3c00],
    [-2, 0xc000],
    [65504, 0x7bff],
    [65520, 0x7c00], // halfway to 65536: to even, infinity
    [2 ** -14, 0x0400], // least normal
    [2 ** -14 - 2 ** -24, 0x03ff], // greatest subnormal
    [2 ** -24, 0x0001],
    [2 ** -25, 0x0000], // tie to even
    [2 ** -25 * 1.5, 0x0001],
    [2 ** -24 * 1.5, 0x0002], // tie to even
    [2 ** -14 - 2 ** -25, 0x0400], // rounds up into the normals
    [1 + 2 ** -11, 0x3c00], // tie to even
    [1 + 3 * 2 ** -11, 0x3c02], // tie to even
    [1 + 2 ** -11 + 2 ** -20, 0x3c01],
    [1e-40, 0],
    [-1e-40, 0x8000],
    [Number.POSITIVE_INFINITY, 0x7c00],
  ])('rounds %d to nearest even', (value, half) => {
    expect(singleToHalf(value)).toBe(half);
  });
});

describe('hashes', () => {
  it('crc32 is that of zlib for every length and alignment', () => {
    const data = Uint8Array.from({ length: 100 }, (_, i) => (i * 73 + 11) & 255);
    for (let start = 0; start < 9; start++) {
      for (let end = start; end < 60; end++)
        expect(crc32(data.subarray(start, end))).toBe(zlibCrc32(data.subarray(start, end)));
    }
  });

  it('sha256Hex gives the published test vector', () => {
    expect(sha256Hex(new TextEncoder().encode('abc'))).toBe(
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    );
  });
});

describe('bitmap', () => {
  it('returns any flags', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 70 }), (flags) => {
        expect(decodeBitmap(encodeBitmap(flags), flags.length)).toEqual(flags);
      }),
    );
  });

  it('puts the first flag into the least significant bit', () => {
    expect(encodeBitmap([true, false, false, false, false, false, false, false, true, true])).toBe(btoa('\x01\x03'));
  });

  it('refuses another size and what is not base64', () => {
    expect(() => decodeBitmap('AQ==', 9)).toThrow('expected 2');
    expect(() => decodeBitmap('%', 1)).toThrow('base64');
  });
});
