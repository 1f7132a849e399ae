import { escapeHtml } from './escape.ts';
import { fairnessOf } from './fairness.ts';
import type { Section } from './section.ts';
import { spreadText } from './text-table.ts';

/** How unlike clients fare alone, as a table; empty where too few of them are done. */
export function fairnessTable({ experiment, metrics }: Section): string {
  const fairness = fairnessOf(experiment, metrics);
  if (fairness === null) return '';
  const shown = metrics.filter(({ id }) => fairness.clients.some((client) => client.metrics[id]));
  const heads = ['client', 'rows', ...shown.map(({ title }) => title)];
  const row = (title: string, cells: readonly string[]) =>
    `<tr><th scope="row">${escapeHtml(title)}</th>${cells.map((text) => `<td>${escapeHtml(text)}</td>`).join('')}</tr>`;
  const clients = fairness.clients.map((one) =>
    row(`client ${one.client}`, [
      one.rows.toFixed(Number.isInteger(one.rows) ? 0 : 1),
      ...shown.map(({ id }) => spreadText(one.metrics[id])),
    ]),
  );
  const apart = (title: string, of: 'stdDev' | 'range') =>
    row(title, [
      '',
      ...shown.map(({ id }) => fairness.apart.find(({ metric }) => metric.id === id)?.[of].toFixed(4) ?? '–'),
    ]);
  return `<h3>Clients alone</h3><div class="scroll"><table><caption>What each client reaches with its own rows, on the held-out rows of all; mean ± standard deviation over seeds. Below, how far the clients of a seed are apart. A federation gives all of them the same model.</caption><thead><tr>${heads
    .map((text) => `<th scope="col">${escapeHtml(text)}</th>`)
    .join(
      '',
    )}</tr></thead><tbody>${clients.join('')}${apart('standard deviation', 'stdDev')}${apart('range', 'range')}</tbody></table></div>`;
}
