import { Decoder, Encoder } from 'socket.io-parser';

/** Keys that would reach an object's prototype are dropped while parsing. */
const dropPrototypeKeys = (key: string, value: unknown): unknown =>
  key === '__proto__' || key === 'constructor' || key === 'prototype' ? undefined : value;

/** socket.io makes its decoder with `new Decoder()`, so the limit can only be given by a subclass: one binary a message. */
class StrictDecoder extends Decoder {
  constructor() {
    super({ maxAttachments: 1, reviver: dropPrototypeKeys });
  }
}

export const strictParser = { Encoder, Decoder: StrictDecoder };
