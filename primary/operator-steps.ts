import type { PrimaryEffect, PrimaryState, PrimaryStep } from './protocol.ts';

/**
 * What an operator may ask of a primary, as steps of its state machine. Each is asked only when
 * no term is being claimed (`operator-commands.ts` waits for that); else it changes nothing.
 */

/**
 * No takeover and no epochs until `resume`. The record says so, not a message: a backup may follow
 * a protected term only. A guest that waited for a backup goes on.
 */
export function pause(state: PrimaryState): PrimaryStep {
  if (state.name === 'claiming' || state.name === 'paused' || state.name === 'stopped') {
    return { state, effects: [] };
  }
  const effects: PrimaryEffect[] = [];
  if ('session' in state) {
    effects.push({ kind: 'close-session', session: state.session, cause: 'paused' });
  }
  if ('waits' in state) effects.push(...endWait(state));
  // In a solo term of ours, what the last checkpoint began to hold need not wait for another.
  if (state.name === 'joining' || state.name === 'synchronising') {
    effects.push({ kind: 'free-output' });
  }
  return { state: { name: 'claiming', pauses: true }, effects: [...effects, claimPaused] };
}

/** A backup is sought again. */
export function resume(state: PrimaryState): PrimaryStep {
  if (state.name !== 'paused') return { state, effects: [] };
  return { state: { name: 'claiming' }, effects: [{ kind: 'claim-solo', keepsPause: false }] };
}

/** What a waiting guest said goes out only where nothing that is not covered is held with it. */
export function goOn(state: PrimaryState): PrimaryStep {
  if (!('waits' in state)) return { state, effects: [] };
  const { waits: _, ...free } = state;
  const release: readonly PrimaryEffect[] =
    state.name === 'joining' ? [{ kind: 'free-output' }] : [];
  return { state: free, effects: [{ kind: 'end-wait' }, ...release] };
}

export const endWait = (state: { readonly waits?: true }): readonly PrimaryEffect[] =>
  state.waits === true ? [{ kind: 'end-wait' }] : [];

const claimPaused: PrimaryEffect = { kind: 'claim-paused' };
