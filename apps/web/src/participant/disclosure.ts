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
  const update = encodedBytes(adapterLength, config.updateDtype);
  const chunks = Math.ceil(update / CHUNK_BYTES);
  return [
    {
      what: `Adapter update (${adapterLength.toLocaleString('en')} numbers, ${config.updateDtype === 'f16' ? '16' : '32'} bit)`,
      why: 'what your tab learnt in a round; averaged with the others’',
      bytesPerRound: update,
      exact: true,
      rounds: config.rounds,
    },
    {
      what: 'Loss, step and speed, while training',
      why: 'progress on the organiser’s screen, at most twice a second',
      bytesPerRound: config.steps * PROGRESS_BYTES,
      exact: false,
      rounds: config.rounds,
    },
    {
      what: 'Number of examples, mean loss, training time, checksums',
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
