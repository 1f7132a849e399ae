import { runConfig } from '@cotune/fl-core/protocol';
import { NativeSelect, SimpleGrid } from '@mantine/core';
import { Section } from '../ui/section.tsx';
import { HyperFields } from './hyper-fields.tsx';
import { type Config, NumberSetting, type PartProps } from './number-setting.tsx';
import { ALGORITHM_FORMS, hyperDefaults } from './run-form.ts';

const TEMPLATES = runConfig.shape.template.unwrap().options;

/** The algorithm with its own form, and how the participants' optimisers go. */
export function AlgorithmSection(part: PartProps) {
  const { form, setForm, problems } = part;
  const { config } = form;
  const change = (next: Partial<Config>) => setForm({ ...form, config: { ...config, ...next } });
  const algorithm = ALGORITHM_FORMS.find(({ id }) => id === form.algorithmId);
  const prefix = 'algorithm.hyper.';
  const hyperProblems = Object.fromEntries(
    Object.entries(problems).flatMap(([path, problem]) =>
      path.startsWith(prefix) ? [[path.slice(prefix.length), problem]] : [],
    ),
  );
  return (
    <Section title="Algorithm and optimiser">
      <NativeSelect
        label="Algorithm"
        description={algorithm?.summary}
        error={problems.algorithm ?? problems['algorithm.hyper']}
        data={ALGORITHM_FORMS.map(({ id, title }) => ({ value: id, label: title }))}
        value={form.algorithmId}
        onChange={(event) => {
          const next = ALGORITHM_FORMS.find(({ id }) => id === event.currentTarget.value);
          if (next) setForm({ ...form, algorithmId: next.id, hyper: hyperDefaults(next) });
        }}
      />
      {algorithm && algorithm.fields.length > 0 ? (
        <HyperFields
          key={algorithm.id}
          fields={algorithm.fields}
          values={form.hyper}
          problems={hyperProblems}
          onChange={(hyper) => setForm({ ...form, hyper })}
        />
      ) : null}
      <SimpleGrid cols={{ base: 2, sm: 4 }} style={{ alignItems: 'end' }}>
        <NumberSetting
          label="Learning rate"
          path="learningRate"
          part={part}
          value={config.learningRate}
          set={(learningRate) => ({ learningRate })}
        />
        <NativeSelect
          label="Over the rounds"
          data={[
            { value: 'cosine', label: 'falls as a cosine' },
            { value: 'constant', label: 'stays the same' },
          ]}
          value={config.learningRateSchedule ?? 'cosine'}
          onChange={(event) =>
            change({ learningRateSchedule: event.currentTarget.value === 'constant' ? 'constant' : 'cosine' })
          }
        />
        {config.learningRateSchedule === 'constant' ? null : (
          <NumberSetting
            label="Last learning rate"
            path="minLearningRate"
            part={part}
            value={config.minLearningRate}
            set={(minLearningRate) => ({ minLearningRate })}
          />
        )}
        <NativeSelect
          label="AdamW each round"
          data={[
            { value: 'fresh', label: 'begins anew' },
            { value: 'kept', label: 'goes on from one’s last round' },
          ]}
          value={config.optimizerState ?? 'fresh'}
          onChange={(event) => change({ optimizerState: event.currentTarget.value === 'kept' ? 'kept' : 'fresh' })}
        />
        <NumberSetting label="Seed" path="seed" part={part} value={config.seed} set={(seed) => ({ seed })} />
        <NativeSelect
          label="Draws depend on"
          data={[
            { value: 'run', label: 'seed and round' },
            { value: 'round-only', label: 'the round alone, as published' },
          ]}
          value={config.seeding ?? 'run'}
          onChange={(event) => change({ seeding: event.currentTarget.value === 'round-only' ? 'round-only' : 'run' })}
        />
        <NativeSelect
          label="Template"
          data={TEMPLATES.map((id) => ({ value: id, label: id === 'chat' ? 'chat, the model’s own' : id }))}
          value={config.template ?? 'alpaca'}
          onChange={(event) => {
            const template = TEMPLATES.find((id) => id === event.currentTarget.value);
            if (template) change({ template });
          }}
        />
      </SimpleGrid>
    </Section>
  );
}
