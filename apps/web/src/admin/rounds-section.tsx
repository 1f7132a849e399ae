import { SimpleGrid, Switch } from '@mantine/core';
import { Section } from '../ui/section.tsx';
import { type Config, NumberSetting, OptionalNumberSetting, type PartProps } from './number-setting.tsx';

/** How long the run is, and who takes part. */
export function RoundsSection(part: PartProps) {
  const { form, setForm } = part;
  const { config } = form;
  const { participants } = config;
  const change = (next: Partial<Config>) => setForm({ ...form, config: { ...config, ...next } });
  return (
    <Section title="Rounds and participants">
      <SimpleGrid cols={{ base: 2, sm: 4 }} style={{ alignItems: 'end' }}>
        <NumberSetting label="Rounds" path="rounds" part={part} value={config.rounds} set={(rounds) => ({ rounds })} />
        <NumberSetting
          label="Steps a round"
          path="steps"
          part={part}
          value={config.steps}
          set={(steps) => ({ steps })}
        />
        <NumberSetting
          label={config.task === 'dpo' ? 'Pairs a step' : 'Examples a step'}
          path="batchSize"
          part={part}
          value={config.batchSize}
          set={(batchSize) => ({ batchSize })}
        />
        <NumberSetting
          label="Tokens an example"
          path="maxSeqLength"
          part={part}
          value={config.maxSeqLength}
          set={(maxSeqLength) => ({ maxSeqLength })}
        />
        <NumberSetting
          label="Fewest participants"
          path="participants.min"
          part={part}
          value={participants.min}
          set={(min) => ({ participants: { ...participants, min } })}
        />
        <NumberSetting
          label="Most participants"
          path="participants.max"
          part={part}
          value={participants.max}
          set={(max) => ({ participants: { ...participants, max } })}
        />
        <OptionalNumberSetting
          label="Drawn for a round"
          path="participants.perRound"
          part={part}
          placeholder="all who are here"
          value={participants.perRound}
          set={(perRound) => ({ participants: { ...participants, perRound } })}
        />
        <NumberSetting
          label="Round limit, min"
          path="roundDeadlineMs"
          part={part}
          value={config.roundDeadlineMs === undefined ? undefined : config.roundDeadlineMs / 60_000}
          set={(minutes) => ({ roundDeadlineMs: Math.round(minutes * 60_000) })}
        />
        <NumberSetting
          label="Grace, s"
          path="graceMs"
          part={part}
          value={config.graceMs === undefined ? undefined : config.graceMs / 1000}
          set={(seconds) => ({ graceMs: Math.round(seconds * 1000) })}
        />
      </SimpleGrid>
      <Switch
        label="Start by itself"
        description="As soon as the fewest participants are here"
        checked={config.autoStart ?? false}
        onChange={(event) => change({ autoStart: event.currentTarget.checked })}
      />
    </Section>
  );
}
