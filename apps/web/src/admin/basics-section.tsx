import type { ModelRef } from '@cotune/fl-core/protocol';
import { NativeSelect, SimpleGrid, TextInput } from '@mantine/core';
import { Section } from '../ui/section.tsx';
import type { Config, PartProps } from './number-setting.tsx';
import { PRESETS } from './presets.ts';

/** Name, preset, model and held-out data. */
export function BasicsSection(
  part: PartProps & {
    models: readonly ModelRef[];
    evaluations: readonly { id: string; title: string; rows: number }[];
  },
) {
  const { form, setForm, problems, models, evaluations } = part;
  const { config } = form;
  const change = (next: Partial<Config>) => setForm({ ...form, config: { ...config, ...next } });
  return (
    <Section title="Run">
      <SimpleGrid cols={{ base: 1, sm: 2 }}>
        <TextInput
          label="Name"
          description="Participants see it"
          required
          value={config.name}
          maxLength={120}
          error={problems.name ? 'Give the run a name' : null}
          onChange={(event) => change({ name: event.currentTarget.value })}
        />
        <NativeSelect
          label="Start from"
          description="Fills in the settings below"
          defaultValue=""
          data={[
            { value: '', label: 'Choose a preset…' },
            ...PRESETS.map(({ id, title }) => ({ value: id, label: title })),
          ]}
          onChange={(event) => change(PRESETS.find(({ id }) => id === event.currentTarget.value)?.config ?? {})}
        />
        <NativeSelect
          label="Model"
          data={models.map(({ id, title }) => ({ value: id, label: title }))}
          value={config.modelId}
          onChange={(event) => change({ modelId: event.currentTarget.value })}
        />
        <NativeSelect
          label="Evaluate on"
          data={[
            { value: '', label: 'No held-out data' },
            ...evaluations.map(({ id, title, rows }) => ({ value: id, label: `${title} (${rows} rows)` })),
          ]}
          value={config.evaluationId ?? ''}
          onChange={(event) => {
            const { evaluationId: _, ...rest } = config;
            const id = event.currentTarget.value;
            setForm({ ...form, config: id ? { ...rest, evaluationId: id } : rest });
          }}
        />
      </SimpleGrid>
    </Section>
  );
}
