import { escapeHtml } from './escape.ts';
import type { ReadExperiment } from './read-experiment.ts';
import type { Section } from './section.ts';

/** The command that runs the experiment again, from a file with the configuration. */
export function repeatCommand({ record }: ReadExperiment): string {
  const limit = record.clients_limit === null ? '' : ` --clients-limit ${record.clients_limit}`;
  return `cotune simulate experiment.json --out results${limit}`;
}

/** Configuration, command, and what a repetition has to come out with. */
export function repeatHtml({ experiment }: Section): string {
  const { record, cells } = experiment;
  const facts: readonly (readonly [string, string])[] = [
    ['seeds', record.config.seeds.join(', ')],
    ['clients', `${record.clients}, drawn for a round: ${record.config.perRound ?? 'all'}`],
    ['rows', `${record.train_rows} to train on, ${record.held_out_rows} held out`],
    ['SHA-256 of the tokens', record.data_sha256],
    ['weights', record.weights],
    ['GPU', record.device],
  ];
  const hashes = cells.map(
    ({ cell, result, rounds }) =>
      `<tr><th scope="row">${escapeHtml(cell.name)}</th><td class="hash">${
        result ? escapeHtml(result.adapter_sha256) : rounds.length > 0 ? 'unfinished' : 'not begun'
      }</td></tr>`,
  );
  return `<p>Save the configuration below as <code>experiment.json</code> where the experiment’s file was, since its paths are relative to it, then:</p>
<pre><code>${escapeHtml(repeatCommand(experiment))}</code></pre>
<p>With the same rows, weights and GPU each cell ends with the adapter named here, to the bit.</p>
<div class="scroll"><table><caption>What was run</caption><tbody>${facts
    .map(([name, value]) => `<tr><th scope="row">${name}</th><td class="hash">${escapeHtml(value)}</td></tr>`)
    .join('')}</tbody></table></div>
<details><summary>Adapters of all cells</summary><div class="scroll"><table><caption>SHA-256 of the adapter after the last round</caption><thead><tr><th scope="col">cell</th><th scope="col">adapter</th></tr></thead><tbody>${hashes.join('')}</tbody></table></div></details>
<details><summary>Configuration, every default filled in</summary><pre><code>${escapeHtml(JSON.stringify(record.config, null, 2))}</code></pre></details>`;
}
