import { LORA_TARGET_NAMES } from '@cotune/fl-core/protocol';
import { Checkbox, Group, NativeSelect, SimpleGrid, Text } from '@mantine/core';
import { useAdminStore } from '../stores/admin-store.ts';
import { Section } from '../ui/section.tsx';
import { NumberSetting, type PartProps } from './number-setting.tsx';
import { startChoices, withStart } from './start-choices.ts';

/** What the run starts from. One that does not fit the model and LoRA any more is not shown, and not sent. */
function StartSetting({ form, setForm, problems }: PartProps) {
  const runs = useAdminStore((state) => state.runs);
  const choices = startChoices(runs, form.config);
  const chosen = choices.find(({ sha256 }) => sha256 === form.config.startAdapter);
  return (
    <NativeSelect
      label="First adapter"
      description="Results of finished runs with the same model and the same settings here"
      data={[
        { value: '', label: 'A new one, made from the seed' },
        ...choices.map(({ sha256, name }) => ({ value: sha256, label: `Result of ${name} (${sha256.slice(0, 8)}…)` })),
      ]}
      value={chosen?.sha256 ?? ''}
      error={problems.startAdapter}
      onChange={(event) => setForm({ ...form, config: withStart(form.config, event.currentTarget.value || undefined) })}
    />
  );
}

/** The adapter that is trained and sent. */
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
          value={lora.rank}
          set={(rank) => ({ lora: { ...lora, rank } })}
        />
        <NumberSetting
          label="Alpha"
          path="lora.alpha"
          part={part}
          value={lora.alpha}
          set={(alpha) => ({ lora: { ...lora, alpha } })}
        />
        <NumberSetting
          label="Dropout"
          path="lora.dropout"
          part={part}
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
      <StartSetting {...part} />
    </Section>
  );
}
