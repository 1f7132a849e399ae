import { TEMPLATE_IDS } from '@cotune/fl-core';
import { LORA_TARGET_NAMES, type ModelRef } from '@cotune/fl-core/protocol';
import { Checkbox, Group, NativeSelect, SimpleGrid, Switch, Text, TextInput } from '@mantine/core';
import { Section } from '../ui/section.tsx';
import { HyperFields } from './hyper-fields.tsx';
import { type Config, NumberSetting, type PartProps } from './number-setting.tsx';
import { ALGORITHM_FORMS, hyperDefaults, PRESETS } from './run-form.ts';

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

export function RoundsSection(part: PartProps) {
  const { form, setForm } = part;
  const { config } = form;
  const { participants } = config;
  const change = (next: Partial<Config>) => setForm({ ...form, config: { ...config, ...next } });
  return (
    <Section title="Rounds and participants">
      <SimpleGrid cols={{ base: 2, sm: 4 }} style={{ alignItems: 'end' }}>
        <NumberSetting
          label="Rounds"
          path="rounds"
          part={part}
          min={1}
          value={config.rounds}
          set={(rounds) => ({ rounds })}
        />
        <NumberSetting
          label="Steps a round"
          path="steps"
          part={part}
          min={1}
          value={config.steps}
          set={(steps) => ({ steps })}
        />
        <NumberSetting
          label="Examples a step"
          path="batchSize"
          part={part}
          min={1}
          value={config.batchSize}
          set={(batchSize) => ({ batchSize })}
        />
        <NumberSetting
          label="Tokens an example"
          path="maxSeqLength"
          part={part}
          min={1}
          value={config.maxSeqLength}
          set={(maxSeqLength) => ({ maxSeqLength })}
        />
        <NumberSetting
          label="Fewest participants"
          path="participants.min"
          part={part}
          min={1}
          value={participants.min}
          set={(min) => ({ participants: { ...participants, min } })}
        />
        <NumberSetting
          label="Most participants"
          path="participants.max"
          part={part}
          min={1}
          value={participants.max}
          set={(max) => ({ participants: { ...participants, max } })}
        />
        <NumberSetting
          label="Round limit, min"
          path="roundDeadlineMs"
          part={part}
          min={0}
          whole={false}
          value={config.roundDeadlineMs === undefined ? undefined : config.roundDeadlineMs / 60_000}
          set={(minutes) => ({ roundDeadlineMs: Math.round(minutes * 60_000) })}
        />
        <NumberSetting
          label="Grace, s"
          path="graceMs"
          part={part}
          whole={false}
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

export function AlgorithmSection(part: PartProps) {
  const { form, setForm, problems } = part;
  const { config } = form;
  const algorithm = ALGORITHM_FORMS.find(({ id }) => id === form.algorithmId);
  const hyperProblem = Object.entries(problems).find(([path]) => path.startsWith('algorithm'))?.[1];
  return (
    <Section title="Algorithm and optimiser">
      <NativeSelect
        label="Algorithm"
        description={algorithm?.summary}
        error={hyperProblem}
        data={ALGORITHM_FORMS.map(({ id, title }) => ({ value: id, label: title }))}
        value={form.algorithmId}
        onChange={(event) => {
          const next = ALGORITHM_FORMS.find(({ id }) => id === event.currentTarget.value);
          if (next) setForm({ ...form, algorithmId: next.id, hyper: hyperDefaults(next) });
        }}
      />
      {algorithm && algorithm.fields.length > 0 ? (
        <HyperFields fields={algorithm.fields} values={form.hyper} onChange={(hyper) => setForm({ ...form, hyper })} />
      ) : null}
      <SimpleGrid cols={{ base: 2, sm: 4 }} style={{ alignItems: 'end' }}>
        <NumberSetting
          label="Learning rate"
          path="learningRate"
          part={part}
          whole={false}
          value={config.learningRate}
          set={(learningRate) => ({ learningRate })}
        />
        <NumberSetting
          label="Last learning rate"
          path="minLearningRate"
          part={part}
          whole={false}
          value={config.minLearningRate}
          set={(minLearningRate) => ({ minLearningRate })}
        />
        <NumberSetting label="Seed" path="seed" part={part} value={config.seed} set={(seed) => ({ seed })} />
        <NativeSelect
          label="Template"
          data={[...TEMPLATE_IDS]}
          value={config.template ?? 'alpaca'}
          onChange={(event) => {
            const template = TEMPLATE_IDS.find((id) => id === event.currentTarget.value);
            if (template) setForm({ ...form, config: { ...config, template } });
          }}
        />
      </SimpleGrid>
    </Section>
  );
}

export function LoraSection(part: PartProps) {
  const { form, setForm, problems } = part;
  const { config } = form;
  const { lora } = config;
  return (
    <Section title="LoRA adapter">
      <SimpleGrid cols={{ base: 2, sm: 4 }} style={{ alignItems: 'end' }}>
        <NumberSetting
          label="Rank"
          path="lora.rank"
          part={part}
          min={1}
          max={256}
          value={lora.rank}
          set={(rank) => ({ lora: { ...lora, rank } })}
        />
        <NumberSetting
          label="Alpha"
          path="lora.alpha"
          part={part}
          whole={false}
          value={lora.alpha}
          set={(alpha) => ({ lora: { ...lora, alpha } })}
        />
        <NumberSetting
          label="Dropout"
          path="lora.dropout"
          part={part}
          whole={false}
          max={0.9}
          value={lora.dropout}
          set={(dropout) => ({ lora: { ...lora, dropout } })}
        />
        <NativeSelect
          label="Updates as"
          data={[
            { value: 'f32', label: '32-bit floats' },
            { value: 'f16', label: '16-bit floats (half the bytes)' },
          ]}
          value={config.updateDtype ?? 'f32'}
          onChange={(event) =>
            setForm({
              ...form,
              config: { ...config, updateDtype: event.currentTarget.value === 'f16' ? 'f16' : 'f32' },
            })
          }
        />
      </SimpleGrid>
      <Checkbox.Group
        label="Linears that get an adapter"
        value={[...(lora.targets ?? [])]}
        error={problems['lora.targets'] ? 'Choose at least one' : null}
        onChange={(names) =>
          setForm({
            ...form,
            config: { ...config, lora: { ...lora, targets: LORA_TARGET_NAMES.filter((name) => names.includes(name)) } },
          })
        }
      >
        <Group gap="md" mt="xs">
          {LORA_TARGET_NAMES.map((name) => (
            <Checkbox key={name} value={name} label={<Text size="sm">{name}</Text>} />
          ))}
        </Group>
      </Checkbox.Group>
    </Section>
  );
}
