/** Holds work back while there is no connection. */
export interface Gate {
  open(): void;
  close(): void;
  isOpen(): boolean;
  /** Resolves while open, otherwise at the next opening. */
  whenOpen(): Promise<void>;
}

/** A gate that is closed at first. */
export function gate(): Gate {
  let isOpen = false;
  let release = (): void => {};
  let opened = new Promise<void>((resolve) => {
    release = resolve;
  });
  return {
    open() {
      isOpen = true;
      release();
    },
    close() {
      if (!isOpen) return;
      isOpen = false;
      opened = new Promise<void>((resolve) => {
        release = resolve;
      });
    },
    isOpen: () => isOpen,
    whenOpen: () => opened,
  };
}
