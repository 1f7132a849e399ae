// A one-node ONNX model as bytes, written by hand: protobuf's wire format (protobuf.dev/programming-guides/encoding) and
// the field numbers of onnx.proto3. Only what a matmul needs.

/** Tensor element types, by their number in TensorProto.DataType. */
const ELEMENT = { float: 1, uint8: 2 } as const;

export interface OnnxInitializer {
  readonly name: string;
  readonly dims: readonly number[];
  readonly data: Float32Array | Uint8Array;
}

export interface OnnxValue {
  readonly name: string;
  readonly dims: readonly number[];
}

export interface OnnxNode {
  readonly operator: string;
  /** '' is ONNX itself. */
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly output: string;
  /** Whole-number attributes. */
  readonly attributes: Readonly<Record<string, number>>;
}

export interface OnnxModel {
  readonly node: OnnxNode;
  /** f32 inputs of the graph. */
  readonly inputs: readonly OnnxValue[];
  readonly initializers: readonly OnnxInitializer[];
  /** f32 output of the graph. */
  readonly output: OnnxValue;
}

/** The model's bytes (ModelProto), for opset 21 and version 1 of the node's own domain. */
export function encodeOnnxModel({ node, inputs, initializers, output }: OnnxModel): Uint8Array<ArrayBuffer> {
  const graph = message(
    field(1, encodeNode(node)),
    text(2, 'matmul'),
    ...initializers.map((tensor) => field(5, encodeTensor(tensor))),
    ...inputs.map((value) => field(11, encodeValue(value))),
    field(12, encodeValue(output)),
  );
  const opset = (domain: string, version: number) => field(8, message(text(1, domain), whole(2, version)));
  const own = node.domain === '' ? [] : [opset(node.domain, 1)];
  return concatenate(message(whole(1, 10), text(2, 'cotune'), field(7, graph), opset('', 21), ...own)); // IR version 10
}

function encodeNode({ operator, domain, inputs, output, attributes }: OnnxNode): Bytes {
  const INT = 2; // AttributeProto.AttributeType
  return message(
    ...inputs.map((name) => text(1, name)),
    text(2, output),
    text(3, operator),
    text(4, operator),
    ...Object.entries(attributes).map(([name, value]) =>
      field(5, message(text(1, name), whole(3, value), whole(20, INT))),
    ),
    text(7, domain),
  );
}

function encodeTensor({ name, dims, data }: OnnxInitializer): Bytes {
  const type = data instanceof Float32Array ? ELEMENT.float : ELEMENT.uint8;
  const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength); // little-endian, as WebGPU's hosts are
  return message(...dims.map((n) => whole(1, n)), whole(2, type), text(8, name), field(9, [raw]));
}

function encodeValue({ name, dims }: OnnxValue): Bytes {
  const shape = message(...dims.map((n) => field(1, message(whole(1, n)))));
  const tensor = message(whole(1, ELEMENT.float), field(2, shape));
  return message(text(1, name), field(2, message(field(1, tensor))));
}

/** Pieces, so that hundreds of megabytes of weights are copied once, at the end. */
type Bytes = readonly Uint8Array[];

const message = (...fields: readonly Bytes[]): Bytes => fields.flat();
const whole = (number: number, value: number): Bytes => [varint(number * 8), varint(value)];
const text = (number: number, value: string): Bytes => field(number, [new TextEncoder().encode(value)]);

/** A length-delimited field (wire type 2). */
function field(number: number, content: Bytes): Bytes {
  const length = content.reduce((sum, piece) => sum + piece.byteLength, 0);
  return [varint(number * 8 + 2), varint(length), ...content];
}

/** Seven bits a byte, the least significant first. value: a whole number ≥ 0. */
function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 128) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
  return Uint8Array.from(bytes);
}

function concatenate(pieces: Bytes): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.byteLength, 0));
  let at = 0;
  for (const piece of pieces) {
    joined.set(piece, at);
    at += piece.byteLength;
  }
  return joined;
}
