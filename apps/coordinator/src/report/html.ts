import { chartLegend, chartSvg } from './chart-svg.ts';
import { signed } from './comparison.ts';
import { escapeHtml } from './escape.ts';
import { fairnessTable } from './fairness-html.ts';
import { repeatHtml } from './repeat-html.ts';
import type { Section } from './section.ts';
import { STYLE } from './style.ts';
import { comparisonLines, missingNotes, tableCells, tableNotes } from './text-table.ts';

/** The whole report as one page that needs nothing else: no scripts, no addresses. */
export function reportHtml(sections: readonly Section[]): string {
  const names = [...new Set(sections.map(({ experiment }) => experiment.record.config.name))];
  const title = `Cotune report: ${names.join(', ')}`;
  const contents =
    sections.length > 1
      ? `<nav aria-label="Experiments"><ul>${sections
          .map((section, i) => `<li><a href="#experiment-${i}">${heading(section)}</a></li>`)
          .join('')}</ul></nav>`
      : '';
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${escapeHtml(title)}</h1>
${contents}
${sections.map(sectionHtml).join('\n')}
</main>
</body>
</html>
`;
}

const heading = ({ experiment: { record, directory } }: Section): string =>
  `${escapeHtml(record.config.name)} <span class="quiet">${escapeHtml(directory)}</span>`;

function sectionHtml(section: Section, index: number): string {
  const { description } = section.experiment.record.config;
  const id = `experiment-${index}`;
  const missing = missingNotes(section);
  return `<section aria-labelledby="${id}">
<h2 id="${id}">${heading(section)}</h2>
${description ? `<p>${escapeHtml(description)}</p>` : ''}
${missing.length > 0 ? `<div class="missing">${missing.map((text) => `<p>${escapeHtml(text)}</p>`).join('')}</div>` : ''}
<h3>Results</h3>
${resultTable(section)}
<h3>Federated or alone</h3>
<ul>${comparisonLines(section)
    .map((text) => `<li>${escapeHtml(text)}</li>`)
    .join('')}</ul>
<h3>Over the rounds</h3>
${charts(section, id)}
${comparisonTable(section)}
${fairnessTable(section)}
<h3>To run it again</h3>
${repeatHtml(section)}
</section>`;
}

function resultTable(section: Section): string {
  const { heads, body } = tableCells(section, '\u0000');
  const settings = heads.indexOf('settings');
  const plain = (cells: readonly string[]) => cells.filter((_, i) => i === 0 || i !== settings);
  const head = plain(heads)
    .map((text) => `<th scope="col">${escapeHtml(text)}</th>`)
    .join('');
  const rows = body.map((cells) => {
    const [title = '', ...rest] = plain(cells);
    const hyper = settings > 0 && cells[settings] ? `<span class="settings">${escapeHtml(cells[settings])}</span>` : '';
    const figures = rest.map((text) =>
      text.endsWith('\u0000')
        ? `<td class="best">${escapeHtml(text.slice(0, -1))} <span title="best of the algorithms and the local mean">◂ best</span></td>`
        : `<td>${escapeHtml(text)}</td>`,
    );
    return `<tr><th scope="row">${escapeHtml(title)}${hyper}</th>${figures.join('')}</tr>`;
  });
  const caption = escapeHtml(tableNotes(section).join(' '));
  return `<div class="scroll"><table><caption>${caption}</caption><thead><tr>${head}</tr></thead><tbody>${rows.join('')}</tbody></table></div>`;
}

const VERDICTS = {
  beats: 'beats it',
  'does-not-beat': 'does not beat it',
  'cannot-be-told': 'cannot be told',
  'one-seed': 'one seed: cannot be told',
} as const;

function comparisonTable({ comparisons }: Section): string {
  const rows = comparisons.flatMap(({ title, comparisons }) =>
    comparisons.map(({ metric, difference, verdict, bySeed, clientsBetterOff }) => {
      const { interval, mean, n } = difference;
      const seeds = bySeed.map(({ seed, difference }) => `${seed}: ${signed(difference)}`).join(', ');
      const cells = [
        metric.title,
        metric.better,
        seeds,
        signed(mean),
        interval ? `${signed(interval.low)} to ${signed(interval.high)}` : 'none: one seed',
        String(n),
        VERDICTS[verdict],
        `${(100 * clientsBetterOff).toFixed(0)} %`,
      ];
      return `<tr><th scope="row">${escapeHtml(title)}</th>${cells.map((text) => `<td>${escapeHtml(text)}</td>`).join('')}</tr>`;
    }),
  );
  if (rows.length === 0) return '';
  const heads = [
    'algorithm',
    'figure',
    'better is',
    'by seed',
    'mean difference',
    '95 % interval',
    'seeds',
    'the local mean',
    'clients better off',
  ];
  return `<h3>Differences</h3><div class="scroll"><table><caption>Algorithm − local mean, paired by seed; interval: mean ± t·s/√n with n − 1 degrees of freedom, which takes differences between seeds to be normal. It is of one figure by itself: with many figures and algorithms, one in twenty misses by chance. Clients better off: the share whose own training ends worse than the federation, mean over seeds.</caption><thead><tr>${heads
    .map((text) => `<th scope="col">${text}</th>`)
    .join('')}</tr></thead><tbody>${rows.join('')}</tbody></table></div>`;
}

function charts({ charts }: Section, id: string): string {
  if (charts.length === 0) return '<p>Nothing was evaluated.</p>';
  const figures = charts.map(
    (chart) =>
      `<figure>${chartSvg(chart, `${id}-${chart.metric.id}`)}${chartLegend(chart)}<figcaption>Held-out ${escapeHtml(chart.metric.title)}: mean over seeds, ± one standard deviation as a band.</figcaption></figure>`,
  );
  return `<div class="charts">${figures.join('')}</div>`;
}
