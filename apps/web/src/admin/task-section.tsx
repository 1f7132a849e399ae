import { NativeSelect, SimpleGrid, Text } from '@mantine/core';
import { Section } from '../ui/section.tsx';
import { TASK_WORDS } from '../ui/task-words.ts';
import { NumberSetting, OptionalNumberSetting, type PartProps } from './number-setting.tsx';

const TASKS = ['sft', 'dpo'] as const;

/** What is learnt, and from what kind of rows. */
export function TaskSection(part: PartProps) {
  const { form, setForm } = part;
  const { config } = form;
  const { task = 'sft', dpo } = config;
  return (
    <Section title="Task">
      <SimpleGrid cols={{ base: 1, sm: 2 }}>
        <NativeSelect
          label="Task"
          data={TASKS.map((id) => ({ value: id, label: TASK_WORDS[id].title }))}
          value={task}
          onChange={(event) => {
            const next = TASKS.find((id) => id === event.currentTarget.value);
            if (next) setForm({ ...form, config: { ...config, task: next } });
          }}
        />
        {task === 'dpo' ? (
          <>
            <NumberSetting
              label="Beta"
              path="dpo.beta"
              part={part}
              value={dpo?.beta}
              set={(beta) => ({ dpo: { ...dpo, beta } })}
            />
            <OptionalNumberSetting
              label="Tokens a prompt"
              path="dpo.maxPromptLength"
              part={part}
              placeholder="half of an example"
              value={dpo?.maxPromptLength}
              set={(maxPromptLength) => ({ dpo: { ...dpo, maxPromptLength } })}
            />
            <NativeSelect
              label="Rewards against"
              data={[
                { value: 'base', label: 'The base model alone' },
                { value: 'start', label: 'The model with its first adapter' },
              ]}
              value={dpo?.reference ?? 'base'}
              onChange={(event) => {
                const reference = event.currentTarget.value === 'start' ? 'start' : 'base';
                setForm({ ...form, config: { ...config, dpo: { ...dpo, reference } } });
              }}
            />
          </>
        ) : null}
      </SimpleGrid>
      <Text size="sm" c="dimmed">
        {task === 'dpo'
          ? 'Participants bring pairs: a question, the answer that was preferred, and the one that was not. Beta says how strongly the model that rewards are measured against holds the tuned one.'
          : 'Participants bring prompts with the answers to learn.'}
      </Text>
    </Section>
  );
}
