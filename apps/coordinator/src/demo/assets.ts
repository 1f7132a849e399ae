import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The coordinator package's directory, from its source or from its bundle. */
function packageRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, 'package.json'))) directory = dirname(directory);
  return directory;
}

/** Files that ship with the product. */
export const assets = {
  demoModel: () => join(packageRoot(), 'demo', 'model'),
  demoRun: () => join(packageRoot(), 'demo', 'demo-run.json'),
  demoTest: () => join(packageRoot(), 'demo', 'data', 'test.jsonl'),
  /** Participant data, ordinal from 1. */
  demoShard: (ordinal: number) => join(packageRoot(), 'demo', 'data', `participant-${ordinal}.jsonl`),
  web: () => join(packageRoot(), '..', 'web', 'dist'),
};

export const DEMO_PARTICIPANTS = 3;
export const DEMO_MODEL_ID = 'demo';
export const DEMO_EVALUATION_ID = 'demo';
