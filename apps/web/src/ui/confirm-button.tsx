import { Button, Group, Modal, Stack, Text } from '@mantine/core';
import { useState } from 'react';

/** A button for what cannot be undone: asks once before it acts. `subject` completes the label for screen readers. */
export function ConfirmButton(props: {
  label: string;
  subject?: string;
  title: string;
  text: string;
  onConfirm: () => Promise<unknown>;
  testId?: string;
}) {
  const [open, setOpen] = useState(false);
  const [busy, setBusy] = useState(false);
  const confirm = async () => {
    setBusy(true);
    await props.onConfirm();
    setBusy(false);
    setOpen(false);
  };
  return (
    <>
      <Button
        variant="light"
        color="red"
        size="compact-sm"
        aria-label={props.subject ? `${props.label} ${props.subject}` : undefined}
        data-testid={props.testId}
        onClick={() => setOpen(true)}
      >
        {props.label}
      </Button>
      <Modal
        opened={open}
        onClose={() => setOpen(false)}
        title={props.title}
        closeButtonProps={{ 'aria-label': 'Cancel' }}
      >
        <Stack>
          <Text size="sm">{props.text}</Text>
          <Group justify="flex-end">
            <Button variant="subtle" onClick={() => setOpen(false)}>
              Cancel
            </Button>
            <Button color="red" loading={busy} onClick={() => void confirm()} data-testid="confirm">
              {props.label}
            </Button>
          </Group>
        </Stack>
      </Modal>
    </>
  );
}
