import { Command, CommanderError } from 'commander';
import { VERSION } from '../version.ts';
import { adaptersCommand } from './adapters.ts';
import { benchCommand } from './bench.ts';
import { datasetsCommand } from './datasets.ts';
import { demoCommand } from './demo.ts';
import { exportCommand } from './export.ts';
import { generateCommand } from './generate.ts';
import { inspectCommand } from './inspect.ts';
import { joinCommand } from './join.ts';
import { UsageError } from './output.ts';
import { planCommand } from './plan.ts';
import { quantizeCommand } from './quantize.ts';
import { reportCommand } from './report.ts';
import { serveCommand } from './serve.ts';
import { simulateCommand } from './simulate.ts';
import { trainCommand } from './train.ts';

const COMMANDS = [
  serveCommand,
  joinCommand,
  trainCommand,
  simulateCommand,
  reportCommand,
  generateCommand,
  quantizeCommand,
  planCommand,
  inspectCommand,
  datasetsCommand,
  exportCommand,
  adaptersCommand,
  benchCommand,
  demoCommand,
];

const program = new Command('cotune')
  .description('Fine-tune large language models together, without moving anyone’s data.')
  .version(VERSION)
  .showHelpAfterError('(add --help for the options)')
  .exitOverride();
for (const make of COMMANDS) program.addCommand(make());
for (const command of program.commands) {
  command.showHelpAfterError('(add --help for the options)');
  command.exitOverride();
}

let outputFailure: Error | undefined;
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') outputFailure ??= error; // whoever closed the pipe has read enough
});
process.stderr.on('error', () => undefined); // nowhere to say it

// Dawn keeps the event loop alive for good; a finished command must end.
process.exit(await exitCode());

/** Carries the command out; 0 only when all that it printed has arrived. */
async function exitCode(): Promise<number> {
  let code = 0;
  try {
    await program.parseAsync();
    code = Number(process.exitCode ?? 0);
  } catch (error) {
    if (error instanceof CommanderError) code = error.exitCode === 0 ? 0 : 2;
    else {
      complain(error);
      code = error instanceof UsageError ? 2 : 1;
    }
  }
  await new Promise((resolve) => process.stdout.write('', resolve));
  if (!outputFailure) return code;
  complain(new Error(`cannot write to standard output: ${outputFailure.message}`));
  return code || 1;
}

function complain(error: unknown): void {
  process.stderr.write(`cotune: ${oneSentence(error)}\n`);
  if (process.env.COTUNE_DEBUG) process.stderr.write(`${error instanceof Error ? error.stack : ''}\n`);
}

function oneSentence(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const system = error as NodeJS.ErrnoException;
  if (system.code === 'ENOENT' && system.path) return `no such file or directory: ${system.path}`;
  if (system.code === 'EACCES' && system.path) return `no permission to use ${system.path}`;
  if (system.code === 'EISDIR') return `${system.path ?? 'what was given'} is a directory, expected a file`;
  if (system.code === 'EADDRINUSE')
    return `port ${(system as { port?: number }).port ?? ''} is already in use: choose another with --port`;
  return error.message.split('\n')[0] ?? error.message;
}
