import { gzipSync } from 'node:zlib';
import { DataError, parseDataset } from '@cotune/fl-core';
import { expect, test } from 'vitest';
import { joinFiles, type NamedFile } from './join-files.ts';

const file = (fileName: string, content: string | Uint8Array): NamedFile => ({
  fileName,
  bytes: typeof content === 'string' ? new TextEncoder().encode(content) : content,
});

test('the joined file has the rows of each part, and rejects what each part would reject', async () => {
  const parts = [
    file('a.jsonl', '{"prompt":"a","response":"1"}'),
    file('b.csv', 'prompt,response\nb,2\n"open,x\n,\nonly,\nc,3\n'),
    file('c.json', '[{"prompt":"d","response":"4"},\n{"prompt":"e"},\n{"prompt":}]'),
    file('d.jsonl.gz', gzipSync('{"prompt":"f","response":"5"}\nnonsense\n')),
  ];
  const separate = await Promise.all(parts.map(({ bytes, fileName }) => parseDataset(bytes, { fileName })));
  const joined = await joinFiles('all.jsonl', parts);
  const { rows, rejected, card } = await parseDataset(joined.bytes, { fileName: joined.fileName });
  expect(rows.map(({ prompt, response }) => prompt + response)).toEqual(['a1', 'b2', 'c3', 'd4', 'f5']);
  expect(separate.map((each) => each.rejected.length)).toEqual([0, 2, 2, 1]);
  expect(rejected).toHaveLength(5);
  expect(card).toMatchObject({ rejectedRows: 5, emptyRows: 1 });
});

test('the columns of a part are read as the caller asks', async () => {
  const table = (row: string) => `instruction,input,output\n${row}\n`;
  const joined = await joinFiles('all.jsonl', [
    file('a.csv', table('Answer.,q1,a1')),
    file('b.csv', table('Answer.,q2,a2')),
  ]);
  const { rows } = await parseDataset(joined.bytes, { fileName: joined.fileName, dropColumns: ['instruction'] });
  expect(rows.map(({ prompt }) => prompt)).toEqual(['q1', 'q2']);
});

test('a damaged or overlarge part is refused in one sentence', async () => {
  const good = file('a.jsonl', '{"prompt":"a","response":"1"}\n');
  const packed = gzipSync('{"prompt":"b","response":"2"}\n'.repeat(100));
  const damaged = joinFiles('all.jsonl', [good, file('b.jsonl.gz', packed.subarray(0, packed.length - 9))]);
  await expect(damaged).rejects.toBeInstanceOf(DataError);
  await expect(damaged).rejects.toThrow(/^b\.jsonl\.gz: is a damaged or incomplete gzip file/);

  const unpacked = 100 * 30;
  const two = [file('b.jsonl.gz', packed), file('c.jsonl.gz', packed)];
  expect((await joinFiles('all.jsonl', two, 2 * unpacked)).bytes.byteLength).toBe(2 * unpacked);
  await expect(joinFiles('all.jsonl', two, 2 * unpacked - 1)).rejects.toMatchObject({ code: 'too-large' });
  await expect(joinFiles('all.jsonl', two, unpacked - 1)).rejects.toMatchObject({ code: 'too-large' });
});
