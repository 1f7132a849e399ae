import { type Scan, scanElements } from './json-scan.ts';
import { type DataRecord, isBlank, lineEndOf, type Records, recordText } from './records.ts';

/** JSON Lines: one object a line, ended by LF, CRLF or CR. `bytes` is UTF-8 without a byte order mark. */
export function readJsonLines(bytes: Uint8Array): Records {
  const lineEnd = lineEndOf(bytes);
  const records: DataRecord[] = [];
  let emptyRows = 0;
  let line = 1;
  for (let start = 0; start < bytes.length; line++) {
    const found = bytes.indexOf(lineEnd, start);
    const end = found === -1 ? bytes.length : found;
    const row = bytes.subarray(start, end);
    if (isBlank(row)) emptyRows++;
    else records.push(parseRecord(row, line));
    start = end + 1;
  }
  return { records, emptyRows };
}

/**
 * The objects of a JSON array, or the values of a JSON object of records: whichever opens at the first byte at or after
 * `from` that is no space. A malformed element costs only itself. With `wrapped`, what follows the container is left alone.
 */
export function readJsonElements(bytes: Uint8Array, from: number, { wrapped }: { wrapped: boolean }): Records {
  const records: DataRecord[] = [];
  let emptyRows = 0;
  const scan: Scan = { end: undefined };
  let line = 1;
  for (const element of scanElements(bytes, from, scan)) {
    line = element.line;
    if ('stray' in element) emptyRows++;
    else if ('reason' in element) records.push({ line: element.line, reason: element.reason });
    else records.push(parseRecord(bytes.subarray(element.start, element.end), element.line));
  }
  if (!wrapped && scan.end !== undefined && !isBlank(bytes.subarray(scan.end))) {
    records.push({ line: Math.max(line, 1), reason: 'is followed by more than the end of the file' });
  }
  return { records, emptyRows };
}

/** What the JSON object at the beginning of a file holds. */
export interface ObjectShape {
  /** The object is closed and nothing follows it. */
  readonly whole: boolean;
  readonly members: number;
  readonly objects: number;
  /** Where the values begin that are arrays of objects. */
  readonly arraysOfObjects: readonly number[];
}

const OPEN_ARRAY = 91;
const OPEN_OBJECT = 123;

/** Looks at the values of the first JSON object of a file without parsing them. */
export function objectShape(bytes: Uint8Array): ObjectShape {
  const scan: Scan = { end: undefined };
  const arraysOfObjects: number[] = [];
  let members = 0;
  let objects = 0;
  let sound = true;
  for (const element of scanElements(bytes, 0, scan)) {
    const read = 'start' in element;
    if (!read) sound = false;
    const start = read ? element.start : 'unclosed' in element ? element.unclosed : undefined;
    if (start === undefined) continue;
    members++;
    if (bytes[start] === OPEN_OBJECT) objects++;
    if (bytes[start] !== OPEN_ARRAY) continue;
    let inside = start + 1;
    while (inside < bytes.length && (bytes[inside] ?? 0) <= 32) inside++;
    if (bytes[inside] === OPEN_OBJECT) arraysOfObjects.push(start);
  }
  const whole = sound && scan.end !== undefined && isBlank(bytes.subarray(scan.end));
  return { whole, members, objects, arraysOfObjects };
}

/** One record from its JSON text. */
export function parseRecord(bytes: Uint8Array, line: number): DataRecord {
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
