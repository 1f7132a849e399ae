// node scripts/pnpm.mjs ARGUMENTS…: the pinned pnpm, so that scripts need npm alone (turbo looks for pnpm on the PATH).
import { runPnpm } from './environment.mjs';

runPnpm(...process.argv.slice(2));
