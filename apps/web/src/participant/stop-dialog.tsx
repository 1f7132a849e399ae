import { Button, Group, Modal, Stack, Text } from '@mantine/core';
import { useState } from 'react';
import { stop } from '../commands.ts';

/** Leaves the run: with what was learnt so far, or without. */
export function StopDialog() {
  const [open, setOpen] = useState(false);
  const [busy, setBusy] = useState<'submit' | 'discard' | null>(null);
  const leave = async (how: 'submit' | 'discard') => {
    setBusy(how);
    await stop(how);
    setBusy(null);
    setOpen(false);
  };
  return (
    <>
      <Button variant="default" onClick={() => setOpen(true)}>
        Stop…
      </Button>
      <Modal
        opened={open}
        onClose={() => setOpen(false)}
        title="Stop taking part?"
        closeButtonProps={{ 'aria-label': 'Keep training' }}
      >
        <Stack>
          <Text size="sm">
            The step in progress is finished first. You can send what was learnt in this round so far, or throw it away.
            Rounds that were sent before stay in the result either way.
          </Text>
          <Group justify="flex-end">
            <Button variant="subtle" onClick={() => setOpen(false)}>
              Keep training
            </Button>
            <Button variant="light" color="red" loading={busy === 'discard'} onClick={() => void leave('discard')}>
              Stop and discard
            </Button>
            <Button loading={busy === 'submit'} disabled={busy === 'discard'} onClick={() => void leave('submit')}>
              Stop and send
            </Button>
          </Group>
        </Stack>
      </Modal>
    </>
  );
}
