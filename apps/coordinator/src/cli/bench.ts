import { Command } from 'commander';
import { benchKernelsCommand } from './bench-kernels.ts';
import { benchStepCommand } from './bench-step.ts';

/** `cotune bench`: speed on this machine, as shares of what its GPU can do. */
export function benchCommand(): Command {
  const bench = new Command('bench').description('speed on this machine, as shares of measured peaks');
  for (const command of [benchKernelsCommand(), benchStepCommand()]) {
    command.showHelpAfterError('(add --help for the options)');
    command.exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));
    bench.addCommand(command);
  }
  return bench;
}
