import { Command } from 'commander';
import { benchKernelsCommand } from './bench-kernels.ts';
import { benchStepCommand } from './bench-step.ts';

/** `cotune bench`: speed on this machine, as shares of what its GPU can do. */
export function benchCommand(): Command {
  return new Command('bench')
    .description('speed on this machine, as shares of measured peaks')
    .addCommand(benchKernelsCommand())
    .addCommand(benchStepCommand());
}
