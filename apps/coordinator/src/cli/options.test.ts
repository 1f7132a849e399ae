import { type Command, InvalidArgumentError } from 'commander';
import { expect, it } from 'vitest';
import { datasetsCommand } from './datasets.ts';
import { generateCommand } from './generate.ts';
import { decimal, integer } from './options.ts';
import { UsageError } from './output.ts';
import { planCommand } from './plan.ts';

it('reads numbers in their range, and takes nothing for none', () => {
  expect(integer(0)('0')).toBe(0);
  expect(decimal(0)('1e-3')).toBe(0.001);
  for (const text of ['', ' ', '-1', 'many', '1.5']) {
    expect(() => integer(0, 9)(text), text).toThrow(InvalidArgumentError);
  }
  for (const text of ['', ' ', '-1', 'many', 'Infinity']) {
    expect(() => decimal(0)(text), text).toThrow(InvalidArgumentError);
  }
});

it('refuses options that would be ignored', async () => {
  const parse = (command: Command, ...args: readonly string[]) =>
    command
      .exitOverride()
      .configureOutput({ writeErr() {} })
      .parseAsync(args, { from: 'user' });
  await expect(parse(datasetsCommand(), '--download')).rejects.toBeInstanceOf(UsageError);
  const invalid = { code: 'commander.invalidArgument' };
  await expect(parse(planCommand(), '--model', 'llama-2-7b', '--tflops', '0')).rejects.toMatchObject(invalid);
  await expect(parse(generateCommand(), '--model', 'none', '--top-p', '0')).rejects.toMatchObject(invalid);
});
