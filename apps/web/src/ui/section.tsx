import { Badge, Card, Group, Stack, Title } from '@mantine/core';
import { type ReactNode, useId } from 'react';

/** A titled card; `aside` stands at the right of the title. */
export function Section(props: {
  title: string;
  step?: number;
  aside?: ReactNode;
  children: ReactNode;
  testId?: string;
}) {
  const id = useId();
  return (
    <Card component="section" withBorder padding="lg" aria-labelledby={id} data-testid={props.testId}>
      <Stack gap="md">
        <Group justify="space-between" gap="sm">
          <Group gap="xs" wrap="nowrap">
            {props.step === undefined ? null : (
              <Badge circle size="lg" variant="light" aria-hidden="true">
                {props.step}
              </Badge>
            )}
            <Title order={2} size="h4" id={id}>
              {props.title}
            </Title>
          </Group>
          {props.aside}
        </Group>
        {props.children}
      </Stack>
    </Card>
  );
}
