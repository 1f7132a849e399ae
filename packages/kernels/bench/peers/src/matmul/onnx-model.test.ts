import { expect, it } from 'vitest';
import { encodeOnnxModel } from './onnx-model.ts';

/** Protobuf's wire format read back: every field in order, varints as numbers and length-delimited ones as bytes. */
function decode(bytes: Uint8Array): { field: number; value: number | Uint8Array }[] {
  const fields: { field: number; value: number | Uint8Array }[] = [];
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++] ?? Number.NaN;
      value += (byte % 128) * scale;
      if (!(byte >= 128)) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const wire = tag % 8;
    expect([0, 2]).toContain(wire);
    const value = varint();
    fields.push({ field: Math.floor(tag / 8), value: wire === 0 ? value : bytes.slice(at, at + value) });
    if (wire === 2) at += value;
  }
  return fields;
}

const all = (bytes: Uint8Array, field: number) => decode(bytes).flatMap((f) => (f.field === field ? [f.value] : []));
const bytesOf = (bytes: Uint8Array, field: number) => all(bytes, field).filter((value) => value instanceof Uint8Array);
const texts = (bytes: Uint8Array, field: number) =>
  bytesOf(bytes, field).map((value) => new TextDecoder().decode(value));
const one = (bytes: Uint8Array, ...path: number[]): Uint8Array =>
  path.reduce((inner, field) => bytesOf(inner, field)[0] ?? new Uint8Array(), bytes);

const weights = Float32Array.from({ length: 300 * 2 }, (_, i) => i - 0.5);
const codes = Uint8Array.from([7, 255, 0, 128]);
const model = encodeOnnxModel({
  node: {
    operator: 'MatMulNBits',
    domain: 'com.microsoft',
    inputs: ['A', 'B'],
    output: 'Y',
    attributes: { K: 300, accuracy_level: 0 },
  },
  inputs: [{ name: 'A', dims: [5, 300] }],
  initializers: [
    { name: 'B', dims: [300, 2], data: weights },
    { name: 'codes', dims: [4], data: codes },
  ],
  output: { name: 'Y', dims: [5, 2] },
});
const GRAPH = 7;

it('declares the IR version, ONNX’s opset and that of the operator’s domain', () => {
  expect(all(model, 1)).toEqual([10]);
  const opsets = bytesOf(model, 8).map((opset) => [texts(opset, 1)[0], all(opset, 2)[0]]);
  expect(opsets).toEqual([
    ['', 21],
    ['com.microsoft', 1],
  ]);
});

it('writes the node with its inputs in order and whole-number attributes, zero included', () => {
  const node = one(model, GRAPH, 1);
  expect(texts(node, 1)).toEqual(['A', 'B']);
  expect(texts(node, 2)).toEqual(['Y']);
  expect(texts(node, 4)).toEqual(['MatMulNBits']);
  expect(texts(node, 7)).toEqual(['com.microsoft']);
  const attributes = bytesOf(node, 5).map((attribute) => [
    texts(attribute, 1)[0],
    all(attribute, 3),
    all(attribute, 20),
  ]);
  expect(attributes).toEqual([
    ['K', [300], [2]],
    ['accuracy_level', [0], [2]],
  ]);
});

it('writes tensors with shape, element type and little-endian values', () => {
  const [b, packed] = bytesOf(one(model, GRAPH), 5);
  if (!b || !packed) throw new Error('expected two initializers');
  expect([texts(b, 8), all(b, 1), all(b, 2)]).toEqual([['B'], [300, 2], [1]]);
  const raw = one(b, 9);
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  expect(Array.from({ length: 600 }, (_, i) => view.getFloat32(4 * i, true))).toEqual(Array.from(weights));
  expect([texts(packed, 8), all(packed, 1), all(packed, 2)]).toEqual([['codes'], [4], [2]]);
  expect(one(packed, 9)).toEqual(codes);
});

it('declares the graph’s input and output as f32 of their shapes', () => {
  for (const [field, name, dims] of [
    [11, 'A', [5, 300]],
    [12, 'Y', [5, 2]],
  ] as const) {
    const value = one(model, GRAPH, field);
    const tensor = one(value, 2, 1);
    expect(texts(value, 1)).toEqual([name]);
    expect(all(tensor, 1)).toEqual([1]);
    expect(bytesOf(one(tensor, 2), 1).map((dim) => all(dim, 1)[0])).toEqual(dims);
  }
});
