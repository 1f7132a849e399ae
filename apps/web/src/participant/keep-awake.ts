/** While active: asks before the tab is closed, keeps the screen on, and tells whether the tab is hidden. */
export function keepAwake(on: { hidden(hidden: boolean): void; awake(awake: boolean): void }): () => void {
  let lock: WakeLockSentinel | null = null;
  let ended = false;
  const guard = (event: BeforeUnloadEvent) => event.preventDefault();
  const request = async () => {
    try {
      lock = (await navigator.wakeLock?.request('screen')) ?? null;
      if (ended) await lock?.release();
      on.awake(lock !== null && !ended);
      lock?.addEventListener('release', () => on.awake(false), { once: true });
    } catch {
      on.awake(false); // refused in power-saving mode; training goes on as long as the machine stays awake
    }
  };
  // The browser drops the lock of a hidden tab; ask again when it is seen.
  const visibility = () => {
    on.hidden(document.hidden);
    if (!document.hidden) void request();
  };
  window.addEventListener('beforeunload', guard);
  document.addEventListener('visibilitychange', visibility);
  visibility();
  return () => {
    ended = true;
    window.removeEventListener('beforeunload', guard);
    document.removeEventListener('visibilitychange', visibility);
    void lock?.release();
    on.awake(false);
  };
}
