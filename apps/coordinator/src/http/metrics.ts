import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';

/** Prometheus figures of one coordinator; numbers only, no names. */
export interface Metrics {
  readonly registry: Registry;
  readonly events: Counter<'type'>;
  readonly uploadedBytes: Counter;
  readonly verdicts: Counter<'status'>;
}

export function createMetrics(gauges: { participants: () => number; runs: () => number }): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: 'cotune_' });
  const registers = [registry];
  new Gauge({
    name: 'cotune_participants_connected',
    help: 'Participants with an open socket',
    registers,
    collect() {
      this.set(gauges.participants());
    },
  });
  new Gauge({
    name: 'cotune_runs',
    help: 'Runs in the data directory',
    registers,
    collect() {
      this.set(gauges.runs());
    },
  });
  return {
    registry,
    events: new Counter({
      name: 'cotune_run_events_total',
      help: 'Events applied to runs',
      labelNames: ['type'],
      registers,
    }),
    uploadedBytes: new Counter({
      name: 'cotune_upload_bytes_total',
      help: 'Bytes of update chunks written',
      registers,
    }),
    verdicts: new Counter({
      name: 'cotune_upload_verdicts_total',
      help: 'Updates by verdict',
      labelNames: ['status'],
      registers,
    }),
  };
}
