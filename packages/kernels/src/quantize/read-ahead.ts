import type { FileSource } from './source.ts';

/** Bytes asked for at a time; the next window is under way while one is used, so twice this is held. */
export const WINDOW_BYTES = 16 * 2 ** 20;

interface Window {
  readonly name: string;
  readonly start: number;
  readonly end: number;
  readonly bytes: Promise<Uint8Array<ArrayBuffer>>;
}

/** A read of less than this share of a window is no sign that the file is being streamed: headers, samples. */
const STREAMING_SHARE = 1 / 4096;

/**
 * The same files over a line with latency: reads that go on where the last one of that file ended are served from windows that
 * are fetched ahead. Other reads, and those of more than a window, go straight through. Sizes are asked for once.
 */
export function readAhead(source: FileSource, windowBytes = WINDOW_BYTES): FileSource {
  const sizes = new Map<string, Promise<number | undefined>>();
  const last = new Map<string, { end: number; bytes: number }>();
  let windows: Window[] = [];

  const size = (name: string): Promise<number | undefined> => {
    const known = sizes.get(name) ?? source.size(name);
    sizes.set(name, known);
    known.catch(() => sizes.delete(name));
    return known;
  };
  const fetchWindow = (name: string, start: number, fileBytes: number): Window => {
    const end = Math.min(fileBytes, start + windowBytes);
    const bytes = source.read(name, start, end);
    bytes.catch(() => {}); // thrown where it is awaited; a window nobody comes to need may fail
    return { name, start, end, bytes };
  };
  const windowAt = (name: string, at: number, fileBytes: number): Window => {
    const current =
      windows.find((window) => window.name === name && window.start <= at && at < window.end) ??
      fetchWindow(name, at, fileBytes);
    const next = windows.find((window) => window.name === name && window.start === current.end);
    windows = [
      current,
      ...(next ? [next] : current.end < fileBytes ? [fetchWindow(name, current.end, fileBytes)] : []),
    ];
    return current;
  };

  return {
    label: source.label,
    size,
    async read(name, start = 0, end, into) {
      const before = last.get(name);
      const sequential = before?.end === start && before.bytes >= windowBytes * STREAMING_SHARE;
      if (end !== undefined) last.set(name, { end, bytes: end - start });
      const fileBytes = end !== undefined && sequential ? await size(name) : undefined;
      if (end === undefined || fileBytes === undefined || end > fileBytes || end - start > windowBytes) {
        return source.read(name, start, end, into);
      }
      const target = into ? into.subarray(0, end - start) : new Uint8Array(end - start);
      for (let at = start; at < end; ) {
        const window = windowAt(name, at, fileBytes);
        try {
          const bytes = await window.bytes;
          const part = bytes.subarray(at - window.start, Math.min(end, window.end) - window.start);
          if (part.byteLength === 0) return target.subarray(0, at - start); // shorter than promised: the reader says so
          target.set(part, at - start);
          at += part.byteLength;
        } catch (error) {
          windows = [];
          throw error;
        }
      }
      return target;
    },
  };
}
