import { Button } from '@mantine/core';
import { Problem } from './ui/problem.tsx';
import { navigate } from './ui/route.ts';

export default function MissingPage() {
  return (
    <Problem title="There is no page here" cause="The address does not match any page of this coordinator.">
      <Button variant="default" onClick={() => navigate('/')}>
        Go to the start page
      </Button>
    </Problem>
  );
}
