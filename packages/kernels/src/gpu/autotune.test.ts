import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fastest, tuningScope } from './autotune.ts';
import { fileTuningStore } from './node-files.ts';

describe('fastest', () => {
  it('takes the least median, whatever the best and the worst sample', () => {
    const name = fastest([
      ['a', [10, 11, 12]],
      ['b', [1, 13, 14]],
      ['c', [8, 8, 90]],
    ]);
    expect(name).toBe('c');
  });

  it('keeps the default unless something is clearly faster', () => {
    expect(
      fastest([
        ['default', [100]],
        ['new', [98]],
      ]),
    ).toBe('default');
    expect(
      fastest([
        ['default', [100]],
        ['new', [96]],
      ]),
    ).toBe('new');
  });

  it('needs candidates', () => {
    expect(() => fastest([])).toThrow(/expected one or more/);
  });
});

it('tells adapters and drivers apart', () => {
  const adapter = { kind: 'hardware', vendor: 'v', architecture: 'a', device: 'd', features: [], limits: {} } as const;
  const scope = (description: string) => tuningScope({ adapter: { ...adapter, description } as never });
  expect(scope('driver 1')).toBe(scope('driver 1'));
  expect(scope('driver 1')).not.toBe(scope('driver 2'));
});

it('keeps choices in a file, and starts anew after a damaged one', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tuning-'));
  const path = join(folder, 'deeper', 'tuning.json');
  const store = fileTuningStore(path);
  expect(await store.get('a')).toBeUndefined();
  await store.set('a', 'tile');
  await store.set('b', 'lanes');
  expect(JSON.parse(await readFile(path, 'utf8'))).toEqual({ a: 'tile', b: 'lanes' });
  expect(await fileTuningStore(path).get('b')).toBe('lanes');
  await writeFile(path, '{"a": "ti');
  expect(await fileTuningStore(path).get('a')).toBeUndefined();
  await rm(folder, { recursive: true });
});
