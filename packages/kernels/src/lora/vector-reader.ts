import type { Gpu } from '../gpu/device.ts';
import { createReadback, type Readback } from '../gpu/readback.ts';
import type { FlatVector } from './flat-vector.ts';

/** Reads flat vectors back through one mapping buffer, however long they are. */
export interface VectorReader {
  /** The vectors as they stand behind the work submitted so far. Nothing else may change them meanwhile. */
  read(vectors: readonly FlatVector[]): Promise<Float32Array<ArrayBuffer>[]>;
  destroy(): void;
}

/** The mapping buffer: large enough that waits do not count, small beside a model. */
const READER_ELEMENTS = 4 * 2 ** 20;

/** Elements of the mapping buffer of a reader for up to `vectors` vectors of `length` at a time. */
export function readerElements(length: number, vectors: number): number {
  return Math.min(vectors * length, READER_ELEMENTS);
}

/** A reader whose mapping buffer holds `room` elements; it is made by the first read. */
export function createVectorReader(gpu: Gpu, room: number): VectorReader {
  let readback: Readback | undefined;
  return {
    async read(vectors) {
      readback ??= createReadback(gpu, room);
      readback.reset();
      const results = vectors.map(({ length }) => new Float32Array(length));
      let waiting: Float32Array[] = [];
      let free = room;
      const fetch = async (source: Readback) => {
        const values = new Float32Array(await source.read());
        let at = 0;
        for (const part of waiting) {
          part.set(values.subarray(at, at + part.length));
          at += part.length;
        }
        waiting = [];
        free = room;
      };
      for (const [i, { pieces }] of vectors.entries()) {
        for (const { view, start, length } of pieces) {
          for (let from = 0; from < length; ) {
            const count = Math.min(length - from, free);
            readback.copy({ ...view, offset: view.offset + from * 4 }, count);
            waiting.push((results[i] as Float32Array).subarray(start + from, start + from + count)); // one result a vector
            from += count;
            free -= count;
            if (free === 0) await fetch(readback);
          }
        }
      }
      if (waiting.length > 0) await fetch(readback);
      return results;
    },
    destroy: () => readback?.destroy(),
  };
}
