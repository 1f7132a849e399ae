import { join } from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { planCommand } from '../src/cli/plan.ts';

afterEach(() => vi.restoreAllMocks());

/** Runs `cotune plan …` in this process and returns what it wrote to stdout and how it failed. */
async function plan(...args: readonly string[]): Promise<{ out: string; error: string | undefined }> {
  let out = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    out += String(text);
    return true;
  });
  const done = planCommand().parseAsync(args, { from: 'user' });
  const error = await done.then(
    () => undefined,
    (reason: Error) => reason.message,
  );
  return { out, error };
}

const LLAMA = ['--model', 'llama-2-7b', '--rank', '32', '--targets', 'q,v', '--seq', '512', '--micro-batch', '2048'];
const DEMO_MODEL = join(import.meta.dirname, '..', 'demo', 'model');
const GIB = 2 ** 30;

it('plans Llama-2-7B within 14 and 8.5 GiB, and chooses by the budget', async () => {
  const { out } = await plan(...LLAMA, '--precision', 'f16', '--budget', '8', '--tflops', '17.8', '--json');
  const { plans, chosen } = JSON.parse(out) as {
    plans: { plan: string; bytes: Record<string, number>; flops_per_token: number }[];
    chosen: { plan: string; rows: number; bytes: { total: number }; micro_batch_seconds: number };
  };
  expect(plans.map(({ plan: name }) => name)).toEqual(['a', 'b']);
  const [a, b] = plans;
  expect(a?.bytes.total).toBeLessThan(14 * GIB);
  expect(b?.bytes.total).toBeLessThan(8.5 * GIB);
  expect((a?.flops_per_token ?? 0) / 27e9).toBeCloseTo(1, 1);
  expect(chosen.plan).toBe('b');
  expect(chosen.bytes.total).toBeLessThan(8 * GIB);
  const tokens = chosen.rows * 512;
  expect(chosen.micro_batch_seconds).toBeCloseTo(((b?.flops_per_token ?? 0) * tokens) / 17.8e12, 6);
});

it('counts what the task and the algorithm hold, and takes all targets', async () => {
  const total = async (...args: readonly string[]) => {
    const { chosen } = JSON.parse((await plan(...LLAMA, ...args, '--json')).out) as {
      chosen: { rows: number; bytes: { total: number }; largest_buffer: { bytes: number } };
    };
    return chosen;
  };
  const plain = await total();
  expect((await total('--algorithm', 'scaffold')).bytes.total - plain.bytes.total).toBe(4 * 16_777_216);
  expect((await total('--algorithm', 'fedprox')).bytes.total - plain.bytes.total).toBe(4 * 16_777_216);
  expect((await total('--algorithm', 'fedyogi')).bytes.total).toBe(plain.bytes.total);
  const dpo = await total('--task', 'dpo');
  expect(dpo.bytes.total - plain.bytes.total).toBe(2048 * 4 * (2 + 1 + (4 + 1) / 2)); // scores, rewards and weights
  const said = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  expect((await total('--task', 'dpo', '--micro-batch', '512')).rows).toBe(2);
  expect(said).toHaveBeenCalledWith('--micro-batch 512 is less than the least of 2 × 512 tokens, which is planned\n');
  const all = await total('--targets', 'all', '--rank', '128');
  expect(all.largest_buffer.bytes).toBeLessThanOrEqual(128 * 2 ** 20);
  expect(all.bytes.total).toBe((await total('--targets', 'q,k,v,o,gate,up,down', '--rank', '128')).bytes.total);
});

it('prints a table, also when nothing fits, and says what would', async () => {
  const { out } = await plan(...LLAMA);
  expect(out).toMatch(/weights +6432\.4 +6432\.4/);
  expect(out).toMatch(/chosen: plan A, micro-batches of 4 × 512 tokens, 18\.\d\d GiB/);
  const failed = await plan(...LLAMA, '--budget', '4');
  expect(failed.out).toMatch(/total/);
  expect(failed.error).toMatch(/the budget is 4\.00 GiB: a budget of 6\.\d\d GiB would do/);
  const vocabulary = await plan('--model', 'llama-3.2-1b');
  expect(vocabulary.error).toMatch(/250\.5 MiB in one buffer for model\.embed_tokens\.weight/);
  expect((await plan('--model', 'llama-3.2-1b', '--binding', '1024')).error).toBeUndefined();
  const tiny = await plan('--model', DEMO_MODEL);
  expect(tiny.out).toMatch(/GFLOP a token +0\.00[1-9]/);
  expect(tiny.out).toMatch(/tokens, \d+\.\d MiB/);
  expect((await plan('--model', 'nothing-there')).error).toMatch(/no directory nothing-there, and no model known/);
});
