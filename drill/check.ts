/** One thing that had to hold, and what was found. */
export interface Check {
  /** Kebab case, stable, for scripts. */
  readonly name: string;
  readonly ok: boolean;
  /** A sentence for people, with the numbers that were compared. */
  readonly detail: string;
}
