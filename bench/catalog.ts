import type { Suite } from './suite.ts';
import { applySuite } from './suites/apply.ts';
import { compressSuite } from './suites/compress.ts';
import { diskSuite } from './suites/disk.ts';
import { diskPairSuite } from './suites/disk-pair.ts';
import { guestSuite } from './suites/guest.ts';
import { hashSuite } from './suites/hash.ts';
import { linkSuite } from './suites/link.ts';
import { liveSuite } from './suites/live.ts';
import { pauseSuite } from './suites/pause.ts';
import { pipelineSuite } from './suites/pipeline.ts';
import { scaleSuite } from './suites/scale.ts';
import { sustainedSuite } from './suites/sustained.ts';
import { switchoverSuite } from './suites/switchover.ts';
import { takeoverSuite } from './suites/takeover.ts';
import { threadsSuite } from './suites/threads.ts';

/** All suites, in the order of the page. */
export const suites: readonly Suite[] = [
  hashSuite,
  compressSuite,
  pipelineSuite,
  linkSuite,
  threadsSuite,
  applySuite,
  pauseSuite,
  liveSuite,
  scaleSuite,
  sustainedSuite,
  takeoverSuite,
  switchoverSuite,
  guestSuite,
  diskSuite,
  diskPairSuite,
];
