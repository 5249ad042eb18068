import { UnderstudyError } from '../errors.ts';
import { fileMappings } from '../native/memory-map.ts';
import { ramId } from './arguments.ts';
import type { QemuInstance } from './qemu-instance.ts';

/**
 * Refuses a guest that could not be resumed elsewhere, with the reason, before anybody relies on
 * it: `E_GUEST_UNPROTECTABLE`.
 */
export async function checkProtectable(instance: QemuInstance): Promise<void> {
  await checkMemory(instance);
  await checkMigratable(instance);
}

async function checkMemory({ process, paths, config }: QemuInstance): Promise<void> {
  const backends = await process.execute<MemoryBackend[]>('query-memdev');
  const outside = backends.find((backend) => backend.id !== ramId || !backend.share);
  if (outside !== undefined || backends.length === 0) {
    const name = outside?.id ?? 'guest RAM';
    throw unprotectable(
      `the memory "${name}" does not lie in the shared RAM file`,
      'Remove memory backends, NUMA nodes and DIMMs from extraArguments.',
    );
  }
  const mapped = fileMappings(process.identity.pid, paths.ram)
    .filter((range) => range.shared && range.writable)
    .reduce((bytes, range) => bytes + (range.end - range.start), 0);
  if (mapped >= config.memoryBytes) return;
  throw unprotectable(
    `QEMU has ${mapped} of ${config.memoryBytes} bytes of ${paths.ram} mapped`,
    'Set guest.memoryFolder to the folder that the guest was started with; if the file was removed or ' +
      'replaced under the guest, end the guest and start it anew.',
  );
}

async function checkMigratable({ process }: QemuInstance): Promise<void> {
  const answer = await process.execute<{ 'blocked-reasons'?: string[] }>('query-migrate');
  const reasons = answer['blocked-reasons'] ?? [];
  if (reasons.length === 0) return;
  throw unprotectable(reasons.join('; '), 'Remove the device that QEMU names from the guest.');
}

interface MemoryBackend {
  readonly id?: string;
  readonly share: boolean;
  readonly size: number;
}

function unprotectable(reason: string, hint: string): UnderstudyError {
  const message = `this guest can't be protected: ${reason}`;
  return new UnderstudyError('E_GUEST_UNPROTECTABLE', message, { hint, fields: { reason } });
}
