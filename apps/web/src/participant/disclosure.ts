import { algorithmOf } from '@cotune/fl-core';
import { CHUNK_BYTES, encodedBytes, type RunConfig } from '@cotune/fl-core/protocol';

/** One thing that leaves the tab. */
export interface DisclosedItem {
  readonly what: string;
  readonly why: string;
  readonly bytesPerRound: number;
  /** Whether the size is exact; otherwise it is an upper bound. */
  readonly exact: boolean;
  readonly rounds: number;
}

/** Upper bounds of the text around the numbers; the browser tests weigh what a tab really sends against them. */
const PROGRESS_BYTES = 250;
const REWARDS_BYTES = 80;
const ROUND_BYTES = 1000;
const CHUNK_ENVELOPE_BYTES = 200;
/** Tokens, the longest display name in UTF-8, and the connection's upkeep. */
const CONNECTION_BYTES = 1000;

/** Everything that leaves the tab during a run, with its size; file contents are not among it. */
export function disclosedItems(
  config: RunConfig,
  adapterLength: number,
  gpu: { readonly name: string; readonly features: readonly string[] },
): readonly DisclosedItem[] {
  // What an algorithm's clients send besides their delta goes in the same update, each vector as long as it.
  const extras = algorithmOf(config.algorithm).extras?.length ?? 0;
  const numbers = adapterLength * (1 + extras);
  const update = encodedBytes(numbers, config.updateDtype);
  const pairs = config.task === 'dpo';
  const chunks = Math.ceil(update / CHUNK_BYTES);
  return [
    {
      what: `Adapter update${extras > 0 ? ` with the algorithm’s own vectors` : ''} (${numbers.toLocaleString('en')} numbers, ${config.updateDtype === 'f16' ? '16' : '32'} bit)`,
      why: 'what your tab learnt in a round; averaged with the others’',
      bytesPerRound: update,
      exact: true,
      rounds: config.rounds,
    },
    {
      what: `Loss, ${pairs ? 'reward accuracy and margin, ' : ''}step and speed, while training`,
      why: 'progress on the organiser’s screen, at most twice a second',
      bytesPerRound: config.steps * (PROGRESS_BYTES + (pairs ? REWARDS_BYTES : 0)),
      exact: false,
      rounds: config.rounds,
    },
    {
      what: `Number of ${pairs ? 'pairs, mean rewards' : 'examples'}, mean loss, training time, checksums`,
      why: 'the weight of your update and proof that it arrived whole',
      bytesPerRound: ROUND_BYTES + chunks * CHUNK_ENVELOPE_BYTES,
      exact: false,
      rounds: config.rounds,
    },
    {
      what: 'Display name, GPU name, GPU features',
      why: 'once a connection, so that the organiser can tell participants apart',
      bytesPerRound: CONNECTION_BYTES + JSON.stringify(gpu).length,
      exact: false,
      rounds: 1,
    },
  ];
}
