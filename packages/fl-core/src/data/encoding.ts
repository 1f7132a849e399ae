/** The file as UTF-8 without a byte order mark; UTF-16 with a byte order mark is converted. */
export function toUtf8(bytes: Uint8Array): Uint8Array {
  const [a, b, c] = bytes;
  if (a === 0xef && b === 0xbb && c === 0xbf) return bytes.subarray(3);
  if (a === 0xff && b === 0xfe) return fromUtf16(bytes.subarray(2), 'utf-16le');
  if (a === 0xfe && b === 0xff) return fromUtf16(bytes.subarray(2), 'utf-16be');
  return bytes;
}

function fromUtf16(bytes: Uint8Array, encoding: 'utf-16le' | 'utf-16be'): Uint8Array {
  try {
    return new TextEncoder().encode(new TextDecoder(encoding, { fatal: true }).decode(bytes));
  } catch {
    return withHolesForBadUnits(bytes, encoding === 'utf-16be');
  }
}

const INVALID = 0xff;

/**
 * Half a surrogate pair or half a code unit becomes a byte that no UTF-8 has, so that its row, and only its row, is
 * rejected as any other badly encoded row is.
 */
function withHolesForBadUnits(bytes: Uint8Array, bigEndian: boolean): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const units = bytes.byteLength >> 1;
  const unitAt = (i: number): number => (i < units ? view.getUint16(2 * i, !bigEndian) : 0);
  const encoder = new TextEncoder();
  const out = new Uint8Array(3 * units + 1); // a code unit takes three bytes at most
  let size = 0;
  for (let i = 0; i < units; i++) {
    const unit = unitAt(i);
    const next = unitAt(i + 1);
    if (unit >= 0xd800 && unit < 0xdc00 && next >= 0xdc00 && next < 0xe000) {
      size += encoder.encodeInto(String.fromCharCode(unit, next), out.subarray(size)).written;
      i++;
    } else if (unit >= 0xd800 && unit < 0xe000) out[size++] = INVALID;
    else if (unit < 0x80) out[size++] = unit;
    else size += encoder.encodeInto(String.fromCharCode(unit), out.subarray(size)).written;
  }
  if (bytes.byteLength % 2 === 1) out[size++] = INVALID;
  return out.subarray(0, size);
}
