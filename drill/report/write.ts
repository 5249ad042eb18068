import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemCode, UnderstudyError } from '../../shared/errors.ts';
import type { RunEvents } from '../measure.ts';
import type { DrillResult } from '../result.ts';
import { reportPage } from './page.ts';

/** Writes report.json and report.html; returns their paths. Throws `E_DRILL_REPORT`. */
export async function writeReport(
  folder: string,
  result: DrillResult,
  events: RunEvents,
): Promise<{ json: string; html: string }> {
  const report = { json: join(folder, 'report.json'), html: join(folder, 'report.html') };
  const whole: DrillResult = { ...result, report };
  try {
    await replaceFile(report.json, `${JSON.stringify(whole, null, 2)}\n`);
    await replaceFile(report.html, reportPage(whole, events));
    return report;
  } catch (error) {
    throw new UnderstudyError('E_DRILL_REPORT', `can't write the report to ${folder}: ${error}`, {
      hint: 'Name a folder that can be written with --report.',
      fields: { folder, systemCode: systemCode(error) ?? null },
      cause: error,
    });
  }
}

async function replaceFile(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}
