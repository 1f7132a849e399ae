import {
  ActionIcon,
  Anchor,
  Container,
  Group,
  Text,
  useComputedColorScheme,
  useMantineColorScheme,
} from '@mantine/core';
import type { ReactNode } from 'react';
import { navigate } from './route.ts';

function SchemeButton() {
  const { setColorScheme } = useMantineColorScheme();
  const computed = useComputedColorScheme('light');
  const next = computed === 'dark' ? 'light' : 'dark';
  return (
    <ActionIcon variant="default" size="lg" onClick={() => setColorScheme(next)} aria-label={`Use ${next} colours`}>
      <svg width="18" height="18" viewBox="0 0 24 24" aria-hidden="true">
        <circle cx="12" cy="12" r="8" fill="none" stroke="currentColor" strokeWidth="2" />
        <path d="M12 4a8 8 0 0 1 0 16z" fill="currentColor" />
      </svg>
    </ActionIcon>
  );
}

/** Header and main column of every page. */
export function Frame({ children }: { children: ReactNode }) {
  return (
    <>
      <a className="skip-link" href="#main">
        Skip to content
      </a>
      <Container component="header" size="lg" py="md">
        <Group justify="space-between" wrap="nowrap">
          <Anchor
            href="/"
            underline="never"
            c="inherit"
            onClick={(event) => {
              event.preventDefault();
              navigate('/');
            }}
          >
            <Group gap={10} wrap="nowrap">
              <img src="/icon.svg" alt="" width={28} height={28} />
              <Text fw={700} size="lg">
                Cotune
              </Text>
            </Group>
          </Anchor>
          <SchemeButton />
        </Group>
      </Container>
      <Container component="main" id="main" size="lg" pb="xl">
        {children}
      </Container>
    </>
  );
}
