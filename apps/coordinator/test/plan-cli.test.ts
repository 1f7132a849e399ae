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
  expect((await plan('--model', 'nothing-there')).error).toMatch(/no directory nothing-there, and no model known/);
});
