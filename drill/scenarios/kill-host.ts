import type { Lab } from '../lab.ts';
import {
  type DrillContext,
  type Findings,
  failPrimaryHost,
  startProtected,
  work,
} from '../steps.ts';

/** The primary's host dies at an arbitrary moment; the guest goes on on the backup. */
export async function killHost(lab: Lab, context: DrillContext): Promise<Findings> {
  await startProtected(lab, context);
  await work(lab, context);
  return await failPrimaryHost(lab, context);
}
