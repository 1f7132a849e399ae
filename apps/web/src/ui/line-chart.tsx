import 'uplot/dist/uPlot.min.css';
import { useComputedColorScheme } from '@mantine/core';
import { useEffect, useRef } from 'react';
import UPlot from 'uplot';

export interface ChartSeries {
  readonly label: string;
  /** A CSS variable of the theme, or a colour. */
  readonly color: string;
  readonly width?: number;
  readonly points?: boolean;
  readonly scale?: 'y' | 'right';
  readonly dash?: readonly number[];
  readonly format?: (value: number) => string;
}

export interface LineChartProps {
  /** For people who do not see the chart; say what it shows. */
  readonly label: string;
  readonly xLabel: string;
  readonly series: readonly ChartSeries[];
  /** x values, then one column a series; null leaves a gap. */
  readonly columns: () => (number | null)[][];
  /** Calls back when the columns changed; the chart then redraws itself without React. */
  readonly subscribe: (listener: () => void) => () => void;
  readonly height?: number;
  /** Fixed range of the right-hand scale. */
  readonly rightRange?: readonly [number, number];
  /** Range of x, so that a first point does not stand alone on a scale of no meaning; by default that of the columns. */
  readonly xRange?: () => readonly [number, number];
}

const cssColor = (element: HTMLElement, color: string) =>
  color.startsWith('--') ? getComputedStyle(element).getPropertyValue(color).trim() : color;

/** A uPlot chart that follows its container's width and the colour scheme, and is redrawn outside React. */
export function LineChart(props: LineChartProps) {
  const host = useRef<HTMLDivElement>(null);
  const latest = useRef(props);
  latest.current = props;
  const scheme = useComputedColorScheme('light');
  const shape = JSON.stringify([props.series, props.xLabel, props.height, scheme]);
  useEffect(() => {
    const element = host.current;
    if (!element || !shape) return;
    const { height = 240 } = latest.current;
    const columns = () => latest.current.columns() as UPlot.AlignedData;
    const chart = new UPlot(chartOptions(element, latest.current, height), columns(), element);
    const redraw = () => chart.setData(columns());
    const leave = latest.current.subscribe(redraw);
    const observer = new ResizeObserver(() => chart.setSize({ width: element.clientWidth, height }));
    observer.observe(element);
    return () => {
      leave();
      observer.disconnect();
      chart.destroy();
    };
  }, [shape]);
  return <div ref={host} className="chart" role="img" aria-label={props.label} />;
}

/** Away from the pointer the legend shows the newest values. The chart clears it at the end of a draw, hence the microtask. */
function showNewest(chart: UPlot): void {
  const last = chart.data[0].length - 1;
  if (last < 0 || (chart.cursor.left ?? -1) >= 0) return;
  queueMicrotask(() => chart.status === 1 && chart.setLegend({ idx: last }));
}

function chartOptions(
  element: HTMLElement,
  { series, xLabel, rightRange, xRange }: LineChartProps,
  height: number,
): UPlot.Options {
  const text = cssColor(element, '--mantine-color-dimmed');
  const grid = { stroke: cssColor(element, '--mantine-color-default-border'), width: 1 };
  const axis = { stroke: text, grid, ticks: grid, font: '12px system-ui, sans-serif' };
  const hasRight = series.some(({ scale }) => scale === 'right');
  return {
    width: Math.max(200, element.clientWidth),
    height,
    cursor: { drag: { x: false, y: false } },
    hooks: { draw: [showNewest] },
    scales: {
      x: { time: false, ...(xRange ? { range: () => [...xRange()] as [number, number] } : {}) },
      ...(hasRight ? { right: { range: rightRange ? ([...rightRange] as [number, number]) : [0, 1] } } : {}),
    },
    series: [
      { label: xLabel },
      ...series.map(({ label, color, width = 2, points = false, scale = 'y', dash, format }) => ({
        label,
        scale,
        stroke: cssColor(element, color),
        width,
        spanGaps: true,
        points: { show: points, size: 6 },
        ...(dash ? { dash: [...dash] } : {}),
        value: (_: UPlot, value: number | null) =>
          value === null || value === undefined ? '–' : (format?.(value) ?? value.toFixed(3)),
      })),
    ],
    axes: [
      {
        ...axis,
        size: 28,
        label: xLabel,
        labelSize: 20,
        labelFont: '12px system-ui, sans-serif',
        incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000],
      },
      { ...axis, size: 52 },
      ...(hasRight
        ? [
            {
              ...axis,
              scale: 'right',
              side: 1 as const,
              grid: { show: false },
              size: 52,
              values: (_: UPlot, splits: number[]) => splits.map((v) => `${Math.round(v * 100)} %`),
            },
          ]
        : []),
    ],
  };
}
