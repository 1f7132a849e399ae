import { NEWLINE } from './records.ts';

// Elements of JSON are found by brackets and quotes, without parsing them, so that a malformed one costs only itself.

const SPACE = 32;
const QUOTE = 34;
const COMMA = 44;
const COLON = 58;
const OPEN_ARRAY = 91;
const BACKSLASH = 92;
const CLOSE_ARRAY = 93;
const OPEN_OBJECT = 123;
const CLOSE_OBJECT = 125;

/** One element of an array, or value of an object: where it stands, or why its end cannot be found. */
export type Element =
  | { readonly line: number; readonly start: number; readonly end: number }
  | { readonly line: number; readonly reason: string; readonly unclosed?: number } // where its value begins
  | { readonly line: number; readonly stray: true }; // a comma with nothing before it

export interface Scan {
  /** Index behind the closing bracket; undefined when the file ends before it. */
  end: number | undefined;
}

/**
 * The elements of the array or the values of the object whose opening bracket is the first byte at or after `from` that
 * is no space; `scan.end` is set at the end. After an element that is never closed, reading goes on at the next line that
 * begins as the element did, at the same indentation. Time is linear in the file whatever it holds.
 */
export function* scanElements(bytes: Uint8Array, from: number, scan: Scan): Generator<Element> {
  let line = 1 + newlines(bytes, 0, from);
  let misread = 0;
  const skipSpace = (start: number): number => {
    let at = start;
    for (; at < bytes.length && isSpace(bytes[at]); at++) if (bytes[at] === NEWLINE) line++;
    return at;
  };
  let at = skipSpace(from);
  const inObject = bytes[at] === OPEN_OBJECT;
  const close = inObject ? CLOSE_OBJECT : CLOSE_ARRAY;
  at++;
  for (;;) {
    at = skipSpace(at);
    if (at >= bytes.length) {
      const name = inObject ? 'brace of its object' : 'bracket of its array';
      yield { line, reason: `the file ends before the closing ${name}` };
      return;
    }
    if (bytes[at] === close) break;
    if (bytes[at] === COMMA) {
      yield { line, stray: true };
      at++;
      continue;
    }
    const value = inObject ? valueStart(bytes, at) : at;
    // Files that lose track again and again are read with the stricter rule, which looks ahead no further than a line.
    const end = elementEnd(bytes, value ?? at, close, misread < MAX_FULL_SCANS ? undefined : indentOf(bytes, at));
    if (end === undefined || end.broken) {
      misread++;
      const next = end === undefined ? nextAlike(bytes, at) : end.at;
      const reason = next === undefined ? 'is not closed before the file ends' : 'is not closed';
      yield value === undefined ? { line, reason } : { line, reason, unclosed: value };
      if (next === undefined) return;
      line += newlines(bytes, at, next);
      at = next;
      continue;
    }
    if (value === undefined) yield { line, reason: 'has no key in quotes before it' };
    else yield { line: line + newlines(bytes, at, value), start: value, end: end.at };
    line += newlines(bytes, at, end.at);
    at = bytes[end.at] === COMMA ? end.at + 1 : end.at;
  }
  scan.end = at + 1;
}

const MAX_FULL_SCANS = 16;

function isSpace(byte: number | undefined): boolean {
  return byte !== undefined && byte <= SPACE;
}

/** Index behind `"key":` and the spaces around it; undefined when that is not what stands at `at`. */
function valueStart(bytes: Uint8Array, at: number): number | undefined {
  if (bytes[at] !== QUOTE) return undefined;
  let i = at + 1;
  for (; i < bytes.length && bytes[i] !== QUOTE; i++) {
    if (bytes[i] === NEWLINE) return undefined;
    if (bytes[i] === BACKSLASH) i++;
  }
  i++;
  while (isSpace(bytes[i])) i++;
  if (bytes[i] !== COLON) return undefined;
  i++;
  while (isSpace(bytes[i])) i++;
  return i < bytes.length ? i : undefined;
}

interface Indent {
  readonly bytes: Uint8Array;
  readonly opener: number | undefined;
}

/**
 * Where the element at `start` ends: at its comma, at the container's `close` or at the end of the file; undefined when it
 * is never closed. With `sibling`, a line that begins as the element did ends it too, as broken.
 */
function elementEnd(
  bytes: Uint8Array,
  start: number,
  close: number,
  sibling?: Indent,
): { readonly at: number; readonly broken: boolean } | undefined {
  const closers: number[] = [];
  let quoted = false;
  for (let i = start; i < bytes.length; i++) {
    const byte = bytes[i]!; // i < length
    // JSON strings hold no raw newline: a quote still open here was never closed, and ends with its line.
    if (byte === NEWLINE) {
      quoted = false;
      if (sibling && closers.length > 0 && beginsAlike(bytes, i + 1, sibling)) {
        return { at: i + 1 + sibling.bytes.length, broken: true };
      }
    } else if (quoted) {
      if (byte === BACKSLASH && bytes[i + 1] !== NEWLINE) i++;
      else if (byte === QUOTE) quoted = false;
    } else if (byte === QUOTE) quoted = true;
    else if (byte === OPEN_ARRAY) closers.push(CLOSE_ARRAY);
    else if (byte === OPEN_OBJECT) closers.push(CLOSE_OBJECT);
    else if (closers.length === 0 && (byte === COMMA || byte === close)) return { at: i, broken: false };
    else if (byte === closers.at(-1)) closers.pop();
  }
  return closers.length === 0 ? { at: bytes.length, broken: false } : undefined;
}

/** The spaces before the element at `at` and its first byte; undefined where it does not begin a line. */
function indentOf(bytes: Uint8Array, at: number): Indent | undefined {
  let lineStart = at;
  while (lineStart > 0 && bytes[lineStart - 1] !== NEWLINE && isSpace(bytes[lineStart - 1])) lineStart--;
  if (bytes[lineStart - 1] !== NEWLINE) return undefined;
  return { bytes: bytes.subarray(lineStart, at), opener: bytes[at] };
}

function beginsAlike(bytes: Uint8Array, lineStart: number, { bytes: indent, opener }: Indent): boolean {
  return bytes[lineStart + indent.length] === opener && indent.every((byte, i) => bytes[lineStart + i] === byte);
}

/** Index of the next element that begins a line as the one at `start` does. */
function nextAlike(bytes: Uint8Array, start: number): number | undefined {
  const indent = indentOf(bytes, start);
  if (!indent) return undefined;
  for (let newline = bytes.indexOf(NEWLINE, start); newline !== -1; newline = bytes.indexOf(NEWLINE, newline + 1)) {
    if (beginsAlike(bytes, newline + 1, indent)) return newline + 1 + indent.bytes.length;
  }
  return undefined;
}

function newlines(bytes: Uint8Array, start: number, end: number): number {
  let count = 0;
  for (let i = start; i < end; i++) if (bytes[i] === NEWLINE) count++;
  return count;
}
