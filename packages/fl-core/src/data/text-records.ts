import { type DataRecord, isBlank, lineEndOf, RETURN, type Records, recordText } from './records.ts';

/**
 * Plain text as records with the one field `text`: paragraphs between blank lines, or where there is no blank line, one
 * record a line. `bytes` is UTF-8 without a byte order mark.
 */
export function readText(bytes: Uint8Array): Records {
  const lineEnd = lineEndOf(bytes);
  const paragraphs: { line: number; start: number; end: number }[] = [];
  const lines: typeof paragraphs = [];
  let apart = false; // a blank line, with text before and after it
  let blankBefore = true;
  for (let start = 0, line = 1; start < bytes.length; line++) {
    const found = bytes.indexOf(lineEnd, start);
    const next = found === -1 ? bytes.length : found;
    const end = next > start && bytes[next - 1] === RETURN ? next - 1 : next;
    if (isBlank(bytes.subarray(start, end))) blankBefore = true;
    else {
      const current = paragraphs.at(-1);
      lines.push({ line, start, end });
      if (current && !blankBefore) current.end = end;
      else {
        apart ||= current !== undefined;
        paragraphs.push({ line, start, end });
      }
      blankBefore = false;
    }
    start = next + 1;
  }
  const cuts = apart ? paragraphs : lines;
  return { records: cuts.map(({ line, start, end }) => textRecord(bytes.subarray(start, end), line)), emptyRows: 0 };
}

function textRecord(bytes: Uint8Array, line: number): DataRecord {
  if (bytes.includes(0)) return { line, reason: 'holds a NUL character' };
  const decoded = recordText(bytes);
  return 'reason' in decoded ? { line, reason: decoded.reason } : { line, fields: { text: decoded.text } };
}
