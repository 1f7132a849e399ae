import { Text } from '@mantine/core';

/** A labelled figure whose width does not change while it ticks. */
export function Figure(props: { label: string; value: string; hint?: string; testId?: string }) {
  return (
    <div>
      <Text size="xs" c="dimmed">
        {props.label}
      </Text>
      <Text size="lg" fw={600} className="figures" data-testid={props.testId}>
        {props.value}
      </Text>
      {props.hint ? (
        <Text size="xs" c="dimmed">
          {props.hint}
        </Text>
      ) : null}
    </div>
  );
}
