import { Alert, Group, Stack, Text } from '@mantine/core';
import type { ReactNode } from 'react';

/** One cause and, as children, one action. */
export function Problem(props: { title: string; cause: string; children?: ReactNode; tone?: 'error' | 'warning' }) {
  return (
    <Alert
      color={props.tone === 'warning' ? 'yellow' : 'red'}
      variant="light"
      title={props.title}
      role="alert"
      data-testid="problem"
    >
      <Stack gap="sm">
        <Text size="sm">{props.cause}</Text>
        {props.children ? <Group gap="sm">{props.children}</Group> : null}
      </Stack>
    </Alert>
  );
}
