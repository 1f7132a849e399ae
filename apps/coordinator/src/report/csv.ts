import type { Section } from './section.ts';

/** RFC 4180. */
function csv(rows: readonly (readonly (string | number | null)[])[]): string {
  const field = (value: string | number | null): string => {
    const text = value === null ? '' : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => `${row.map(field).join(',')}\r\n`).join('');
}

/** The tables, a line for each figure of each row: full precision, bytes and seconds among the figures. */
export function tableCsv(sections: readonly Section[]): string {
  const lines = sections.flatMap(({ experiment: { directory, record }, rows, metrics }) =>
    rows.flatMap((row) =>
      [
        ...metrics.map(({ id }) => [id, row.metrics[id]] as const),
        ...(['clientSteps', 'bytesUp', 'bytesDown', 'seconds'] as const).map((id) => [SNAKE[id], row[id]] as const),
      ].flatMap(([figure, spread]) =>
        spread
          ? [
              [
                record.config.name,
                directory,
                row.id,
                row.kind,
                row.title,
                row.hyper,
                figure,
                spread.n,
                spread.mean,
                spread.stdDev,
                row.best.includes(figure) ? 1 : 0,
              ],
            ]
          : [],
      ),
    ),
  );
  const head = 'experiment,directory,row,kind,title,settings,figure,n,mean,std_dev,best'.split(',');
  return csv([head, ...lines]);
}

const SNAKE = {
  clientSteps: 'client_steps',
  bytesUp: 'bytes_up',
  bytesDown: 'bytes_down',
  seconds: 'seconds',
} as const;

/** The curves, a line for each point. */
export function curvesCsv(sections: readonly Section[]): string {
  const lines = sections.flatMap(({ experiment: { directory, record }, charts }) =>
    charts.flatMap(({ metric, curves }) =>
      curves.flatMap(({ id, title, points }) =>
        points.map(({ rounds, n, mean, stdDev }) => [
          record.config.name,
          directory,
          id,
          title,
          metric.id,
          rounds,
          n,
          mean,
          stdDev,
        ]),
      ),
    ),
  );
  return csv(['experiment,directory,row,title,figure,rounds,n,mean,std_dev'.split(','), ...lines]);
}
