import { MantineProvider } from '@mantine/core';
import { lazy, Suspense } from 'react';
import { Frame } from './ui/frame.tsx';
import { Loading } from './ui/loading.tsx';
import { usePath } from './ui/route.ts';
import { theme } from './ui/theme.ts';

const LandingPage = lazy(() => import('./landing-page.tsx'));
const JoinPage = lazy(() => import('./participant/join-page.tsx'));
const AdminPage = lazy(() => import('./admin/admin-page.tsx'));
const MissingPage = lazy(() => import('./missing-page.tsx'));

function Page({ path }: { path: string }) {
  const [section, argument] = path.split('/').filter(Boolean);
  if (section === undefined) return <LandingPage />;
  if (section === 'join' && argument) return <JoinPage key={argument} token={decodeURIComponent(argument)} />;
  if (section === 'admin') return <AdminPage path={path} />;
  return <MissingPage />;
}

export function App() {
  const path = usePath();
  return (
    <MantineProvider theme={theme} defaultColorScheme="auto">
      <Frame>
        <Suspense fallback={<Loading what="the page" />}>
          <Page path={path} />
        </Suspense>
      </Frame>
    </MantineProvider>
  );
}
