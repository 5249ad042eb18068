/**
 * Plain identifiers. They are numbers or strings at run time and cannot be mixed up at compile
 * time. Imports nothing.
 */

declare const brand: unique symbol;
type Branded<T, Name extends string> = T & { readonly [brand]: Name };

/** Number of a checkpoint inside a session, from 1; 0 means "none yet". */
export type Epoch = Branded<number, 'Epoch'>;
/** Number of a leadership term (design: "Who may run the guest"), from 1. */
export type Term = Branded<number, 'Term'>;
/** Index of a 4 KiB page in guest RAM, that is in the RAM file, from 0. */
export type PageIndex = Branded<number, 'PageIndex'>;
/** 16 lower-case hex digits drawn by a primary each time it starts to protect a guest. */
export type SessionId = Branded<string, 'SessionId'>;
/** A guest's name: it becomes a NATS subject token and a folder name. */
export type GuestName = Branded<string, 'GuestName'>;

export const epoch = (value: number): Epoch => value as Epoch;
export const term = (value: number): Term => value as Term;
export const pageIndex = (value: number): PageIndex => value as PageIndex;
export const sessionId = (value: string): SessionId => value as SessionId;

const guestNamePattern = /^[a-z0-9][a-z0-9-]{0,62}$/;

/** True where `value` can name a guest: 1–63 of a–z, 0–9 and "-", not starting with "-". */
export const isGuestName = (value: string): value is GuestName => guestNamePattern.test(value);

export const pageBytes = 4096;
