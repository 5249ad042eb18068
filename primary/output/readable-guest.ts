import type { Guest } from '../../shared/guest/guest.ts';

/**
 * The same guest, whose output is read whenever it is being stopped: a QEMU whose output is not
 * read, because too much of it is held, does not answer, and so could not be stopped at all.
 */
export function readableGuest(guest: Guest, output: PauseListener): Guest {
  const { name, description, instance, memory } = guest;
  return {
    ...{ name, description, instance, memory },
    pause: async () => {
      output.pausing();
      await guest.pause();
    },
    resume: async () => {
      await guest.resume();
      output.resumed();
    },
    saveDeviceState: () => guest.saveDeviceState(),
    saveBaseline: () => guest.saveBaseline(),
    directIoMark: () => guest.directIoMark(),
    onEvent: (listener) => guest.onEvent(listener),
    detach: () => guest.detach(),
  };
}

/** What `HeldOutput` wants to know of pauses. */
export interface PauseListener {
  pausing(): void;
  resumed(): void;
}
