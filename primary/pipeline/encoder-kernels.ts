import { chunkPagesMax, chunkSourcesMax } from '../../shared/codec/chunk.ts';
import {
  type KernelSpace,
  type Kernels,
  type ReadPage,
  startKernels,
} from '../../shared/codec/kernels.ts';
import { pageBytes } from '../../shared/ids.ts';
import type { GuestMemory } from '../../shared/memory/guest-memory.ts';
import { compressionCosts, generalSpeed, linkOf } from './compression-costs.ts';
import { type EncoderRegions, type EncoderSizes, heldSlots } from './encoder-memory.ts';
import type { EncoderOptions } from './encoder-options.ts';

/** Memory for an encoder, planned: any thread can see it if it is a `shared` build. */
export interface EncoderSpace extends KernelSpace<EncoderRegions> {
  readonly sizes: EncoderSizes;
}

/** RAM as it is while the guest runs. What it throws means that a page can't be read now. */
export type LiveRam = Pick<GuestMemory, 'readRange'>;

/** Kernels in a memory of which nothing is left that was in it before. */
export function startEncoderKernels(
  options: EncoderOptions,
  space: EncoderSpace,
  ram: LiveRam | undefined,
): Kernels {
  clear(space);
  const kernels = startKernels(space, options, pageReader(space, ram));
  initKernels(kernels, space.regions, space.sizes, options, ram !== undefined);
  return kernels;
}

function initKernels(
  kernels: Kernels,
  at: EncoderRegions,
  sizes: EncoderSizes,
  options: EncoderOptions,
  readsRam: boolean,
): void {
  const { run } = kernels;
  run.initIndex(options.pageCount, at.rows, at.digests, at.states);
  run.initKept(sizes.keptPages, at.kept, at.keptSlots, at.slotOfPage, at.lastWritten);
  run.initShare(
    at.capture,
    at.capturePages,
    sizes.capturePages,
    at.slotNames,
    at.table,
    at.keptTable,
    at.keptEntries,
    at.keptNames,
  );
  run.initSources(at.sources, chunkSourcesMax);
  run.initHeld(at.heldTable, readsRam ? at.heldEntries : 0, at.heldImages);
  const { generalCodec, linkBytesPerSecond = linkOf[generalCodec] } = options;
  const costs = compressionCosts(generalSpeed[generalCodec], linkBytesPerSecond);
  run.initClassify(
    at.group,
    Number(options.compression),
    Number(options.delta),
    Number(options.generalCodec !== 'none'),
    costs.wkdm,
    costs.general,
  );
  run.initEncode(
    at.capture,
    at.capturePages,
    at.heads,
    at.bodies,
    at.touched,
    chunkPagesMax,
    sizes.groupBytes,
    Number(options.sharing),
  );
}

/** For the kernels, on any thread; undefined without RAM. */
function pageReader({ memory, regions }: EncoderSpace, ram: LiveRam | undefined) {
  if (ram === undefined) return undefined;
  const images = new Uint8Array(memory.buffer, regions.heldImages, heldSlots * pageBytes);
  const read: ReadPage = (page, slot) => {
    try {
      ram.readRange(page, 1, images, slot * pageBytes);
      return 1;
    } catch {
      // Its blocks are sent, then: nothing depends on finding them elsewhere.
      return 0;
    }
  };
  return read;
}

/**
 * Zeroes all but the rows, which are written when their pages enter the index, and never if they
 * are of other shards. On new memory this is the first write to each page: it costs a microsecond
 * or two, and not in an epoch.
 */
function clear({ memory, regions }: EncoderSpace): void {
  const all = new Uint8Array(memory.buffer);
  all.fill(0, 0, regions.rows);
  all.fill(0, regions.digests);
}
