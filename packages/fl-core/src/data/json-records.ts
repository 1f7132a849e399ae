import { type DataRecord, isBlank, type Records, recordText } from './records.ts';

const NEWLINE = 10;
const SPACE = 32;
const QUOTE = 34;
const COMMA = 44;
const BACKSLASH = 92;
const OPEN_ARRAY = 91;
const CLOSE_ARRAY = 93;
const OPEN_OBJECT = 123;
const CLOSE_OBJECT = 125;

/** JSON Lines: one object a line, LF or CRLF. `bytes` is UTF-8 without a byte order mark. */
export function readJsonLines(bytes: Uint8Array): Records {
  const records: DataRecord[] = [];
  let emptyRows = 0;
  let line = 1;
  for (let start = 0; start < bytes.length; line++) {
    const newline = bytes.indexOf(NEWLINE, start);
    const end = newline === -1 ? bytes.length : newline;
    const row = bytes.subarray(start, end);
    if (isBlank(row)) emptyRows++;
    else records.push(parseRecord(row, line));
    start = end + 1;
  }
  return { records, emptyRows };
}

/**
 * A JSON array of objects, which begins at the first `[`. Its elements are found by brackets and quotes and parsed one
 * by one, so that a malformed element costs only itself; after one that is never closed, reading goes on at the next
 * line that opens an object at the same indentation. `bytes` is UTF-8 without a byte order mark.
 */
export function readJsonArray(bytes: Uint8Array): Records {
  const records: DataRecord[] = [];
  let emptyRows = 0;
  let line = 1;
  const skipSpace = (from: number): number => {
    let at = from;
    for (; at < bytes.length && bytes[at]! <= SPACE; at++) if (bytes[at] === NEWLINE) line++; // at < length
    return at;
  };
  let at = skipSpace(0) + 1;
  for (;;) {
    at = skipSpace(at);
    if (at >= bytes.length) {
      records.push({ line, reason: 'the file ends before the closing bracket of its array' });
      return { records, emptyRows };
    }
    if (bytes[at] === CLOSE_ARRAY) break;
    if (bytes[at] === COMMA) {
      emptyRows++;
      at++;
      continue;
    }
    const end = elementEnd(bytes, at);
    if (end === undefined) {
      const next = nextAtSameIndent(bytes, at);
      records.push({ line, reason: next === undefined ? 'is not closed before the file ends' : 'is not closed' });
      if (next === undefined) return { records, emptyRows };
      line += newlines(bytes, at, next);
      at = next;
      continue;
    }
    records.push(parseRecord(bytes.subarray(at, end), line));
    line += newlines(bytes, at, end);
    at = bytes[end] === COMMA ? end + 1 : end;
  }
  const rest = skipSpace(at + 1);
  if (rest < bytes.length) records.push({ line, reason: 'follows the closing bracket of the array' });
  return { records, emptyRows };
}

/** Index of the comma, bracket or end of file that ends the array element at `start`; undefined when it is never closed. */
function elementEnd(bytes: Uint8Array, start: number): number | undefined {
  const closers: number[] = [];
  let quoted = false;
  for (let i = start; i < bytes.length; i++) {
    const byte = bytes[i]!; // i < length
    // JSON strings hold no raw newline: a quote still open here was never closed, and ends with its line.
    if (byte === NEWLINE) quoted = false;
    else if (quoted) {
      if (byte === BACKSLASH && bytes[i + 1] !== NEWLINE) i++;
      else if (byte === QUOTE) quoted = false;
    } else if (byte === QUOTE) quoted = true;
    else if (byte === OPEN_ARRAY) closers.push(CLOSE_ARRAY);
    else if (byte === OPEN_OBJECT) closers.push(CLOSE_OBJECT);
    else if (closers.length === 0 && (byte === COMMA || byte === CLOSE_ARRAY)) return i;
    else if (byte === closers.at(-1)) closers.pop();
  }
  return closers.length === 0 ? bytes.length : undefined;
}

/** Index of the next `{` that begins a line at the indentation of the one at `start`. */
function nextAtSameIndent(bytes: Uint8Array, start: number): number | undefined {
  const lineStart = bytes.lastIndexOf(NEWLINE, start) + 1;
  const indent = bytes.subarray(lineStart, start);
  if (lineStart === 0 || !isBlank(indent)) return undefined;
  for (let newline = bytes.indexOf(NEWLINE, start); newline !== -1; newline = bytes.indexOf(NEWLINE, newline + 1)) {
    const candidate = newline + 1 + indent.length;
    if (bytes[candidate] === OPEN_OBJECT && indent.every((byte, i) => bytes[newline + 1 + i] === byte))
      return candidate;
  }
  return undefined;
}

function newlines(bytes: Uint8Array, start: number, end: number): number {
  let count = 0;
  for (let i = start; i < end; i++) if (bytes[i] === NEWLINE) count++;
  return count;
}

function parseRecord(bytes: Uint8Array, line: number): DataRecord {
  const decoded = recordText(bytes);
  if ('reason' in decoded) return { line, reason: decoded.reason };
  let value: unknown;
  try {
    value = JSON.parse(decoded.text);
  } catch {
    return { line, reason: 'is not valid JSON' };
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    const got = value === null ? 'null' : Array.isArray(value) ? 'an array' : `a ${typeof value}`;
    return { line, reason: `is ${got}, expected an object` };
  }
  return { line, fields: value as Record<string, unknown> };
}
