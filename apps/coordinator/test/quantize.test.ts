import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { COMMIT, type HubServer, startHub } from '../../../packages/kernels/src/quantize/hub-server.test-support.ts';
import { tinyCheckpoint } from '../../../packages/kernels/src/quantize/tiny-checkpoint.ts';

const cli = join(import.meta.dirname, '..', 'dist', 'cotune.js');
const MODEL = 'owner/tiny-model';
let temp = '';
let hub: HubServer;

beforeAll(async () => {
  if (!existsSync(cli)) throw new Error(`${cli} is missing: run npm run build first`);
  temp = mkdtempSync(join(tmpdir(), 'cotune-quantize-'));
  hub = await startHub(MODEL, tinyCheckpoint().files, { token: 'secret' });
});
afterAll(async () => {
  await hub?.close();
  rmSync(temp, { recursive: true, force: true });
});

async function cotune(args: readonly string[], env: Record<string, string> = {}) {
  const { HF_TOKEN: _, ...rest } = process.env;
  const child = spawn(process.execPath, [cli, ...args], {
    env: { ...rest, HF_ENDPOINT: hub.url, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, stdout, stderr };
}

describe('cotune quantize', () => {
  it('takes a hub id with a token, or an address, and writes the same weights', async () => {
    const out = join(temp, 'by-id');
    const byId = await cotune(['quantize', '--from', MODEL, '--out', out, '--json'], { HF_TOKEN: 'secret' });
    expect(byId.code, byId.stderr).toBe(0);
    expect(readdirSync(out).sort()).toEqual(['model.json', 'shard-00000.bin', 'tokenizer.json']);
    const manifest = JSON.parse(readFileSync(join(out, 'model.json'), 'utf8')) as { source: string };
    expect(manifest.source).toBe(`${MODEL}@${COMMIT}`);

    const open = await startHub(MODEL, tinyCheckpoint().files);
    const address = `${open.url}/${MODEL}/resolve/${COMMIT}`;
    const other = join(temp, 'by-address');
    const byAddress = await cotune(['quantize', '--from', address, '--out', other, '--json']);
    await open.close();
    expect(byAddress.code, byAddress.stderr).toBe(0);
    const shard = (dir: string) => readFileSync(join(dir, 'shard-00000.bin'));
    expect(shard(other).equals(shard(out))).toBe(true);
  });

  it.each([
    ['a gated model without a token', MODEL, {}, /owner\/tiny-model: is gated, private or misspelt; .*HF_TOKEN/],
    ['an unknown model', 'owner/nothing', {}, /owner\/nothing: .* has no such model/],
    ['a directory that is not there', './nowhere', {}, /no such directory/],
  ])('says in a sentence what is wrong with %s', async (_, from, env, says) => {
    const { code, stderr } = await cotune(['quantize', '--from', from, '--out', join(temp, 'never')], env);
    expect(code).toBe(1);
    expect(stderr.trim().split('\n')).toEqual([expect.stringMatching(says)]);
    expect(existsSync(join(temp, 'never'))).toBe(false);
  });
});
