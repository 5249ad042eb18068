import { spawn } from 'node:child_process';
import { accessSync, constants, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemCode, UnderstudyError } from '../errors.ts';
import { type AcceleratorKind, defaultQemu, type GuestConfig } from './guest-options.ts';
import { bootId } from './process-record.ts';

export interface AcceleratorChoice {
  readonly accelerator: AcceleratorKind;
  /** One sentence for the log. */
  readonly why: string;
}

/**
 * Settles `auto`. A host may have /dev/kvm and still run a guest a thousand times too slowly
 * (nested, emulated), so KVM has to prove itself: a boot sector that enters long mode and writes
 * 32 MiB must end within 2.5 s. What is found holds until the host boots and is kept in `folder`.
 *
 * Throws `E_ACCELERATOR_UNAVAILABLE` where `kvm` was asked for and can't be opened.
 */
export async function chooseAccelerator(
  asked: GuestConfig['accelerator'],
  folder: string,
  qemu = defaultQemu,
): Promise<AcceleratorChoice> {
  if (asked === 'tcg') return { accelerator: 'tcg', why: 'TCG was asked for' };
  const missing = deviceProblem();
  if (asked === 'kvm') {
    if (missing === undefined) return { accelerator: 'kvm', why: 'KVM was asked for' };
    throw new UnderstudyError('E_ACCELERATOR_UNAVAILABLE', `KVM can't be used: ${missing}`, {
      hint: 'Give this user /dev/kvm, load the kvm module, or set accelerator: auto.',
      fields: { reason: missing },
    });
  }
  if (missing !== undefined) return { accelerator: 'tcg', why: `KVM can't be used: ${missing}` };
  const cachePath = join(folder, 'accelerator.json');
  const known = readCache(cachePath, qemu);
  if (known !== undefined) return known;
  const found = await probe(folder, qemu);
  writeFileSync(cachePath, `${JSON.stringify({ bootId: bootId(), qemu, ...found })}\n`);
  return found;
}

/** Why /dev/kvm can't be opened, or undefined. */
function deviceProblem(): string | undefined {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
    return undefined;
  } catch (error) {
    return `/dev/kvm: ${systemCode(error) ?? 'unknown'}`;
  }
}

function readCache(path: string, qemu: string): AcceleratorChoice | undefined {
  try {
    const value = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    const { accelerator, why } = value;
    const fresh = value.bootId === bootId() && value.qemu === qemu && typeof why === 'string';
    if (!fresh || (accelerator !== 'kvm' && accelerator !== 'tcg')) return undefined;
    return { accelerator, why };
  } catch {
    return undefined; // absent or not ours: probe
  }
}

async function probe(folder: string, qemu: string): Promise<AcceleratorChoice> {
  const scratch = mkdtempSync(join(folder, 'kvm-probe-'));
  try {
    const image = join(scratch, 'boot.img');
    writeFileSync(image, bootSector());
    const problem = await runProbe(qemu, image);
    if (problem === undefined) return { accelerator: 'kvm', why: 'KVM ran a test program' };
    return { accelerator: 'tcg', why: `KVM did not run a test program: ${problem}` };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** What went wrong, or undefined where the program ran to its end. */
function runProbe(qemu: string, image: string): Promise<string | undefined> {
  const args = [
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-m', '64'],
    ...['-machine', 'pc', '-accel', 'kvm', '-cpu', 'host'],
    ...['-drive', `file=${image.replaceAll(',', ',,')},format=raw,if=ide`],
    ...['-device', 'isa-debug-exit,iobase=0xf4,iosize=1'],
  ];
  return new Promise((resolve, reject) => {
    const child = spawn(qemu, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-1000);
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), probeTimeoutMs);
    child.once('error', (cause) => {
      clearTimeout(timer);
      const hint = 'Install it (apt-get install qemu-system-x86) or name it as guest.qemu.';
      const message = `${qemu} can't be run: ${systemCode(cause)}`;
      reject(new UnderstudyError('E_QEMU_MISSING', message, { hint, cause }));
    });
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      if (code === probeSuccess) resolve(undefined);
      else if (signal === 'SIGKILL') resolve(`not done after ${probeTimeoutMs} ms`);
      else resolve(said.trim().split('\n').at(-1) || `exit status ${code}`);
    });
  });
}

const probeTimeoutMs = 2500;
/** isa-debug-exit ends QEMU with 2 n + 1 for the n that the program writes. */
const probeSuccess = 0x21;

/**
 * The test program: page tables for 64 MiB, long mode, `rep stosq` over 32 MiB from 1 MiB up,
 * a reload of CR3, CPUID, then 0x10 to port 0xf4. Assembled from:
 *
 *   cli; xor ax,ax; mov ds,ax; mov es,ax; mov ss,ax; mov sp,0x7c00
 *   mov di,0x1000; mov cx,0x1800; rep stosw              ; PML4, PDPT, PD at 1000, 2000, 3000
 *   mov dword [0x1000],0x2007; mov dword [0x2000],0x3007
 *   mov di,0x3000; mov eax,0x87; mov cx,32
 * 1: mov [di],eax; add eax,0x200000; add di,8; loop 1b
 *   mov eax,0xa0; mov cr4,eax; mov eax,0x1000; mov cr3,eax
 *   mov ecx,0xc0000080; rdmsr; or eax,0x100; wrmsr; lgdt [gdtr]
 *   mov eax,cr0; or eax,0x80000001; mov cr0,eax; jmp 8:long
 * long: mov eax,16; mov ds,eax; mov ss,eax; mov es,eax
 *   mov edi,0x100000; mov ecx,0x400000; xor eax,eax; rep stosq
 *   mov rax,cr3; mov cr3,rax; cpuid; mov eax,0x10; mov dx,0xf4; out dx,al
 * 2: hlt; jmp 2b
 */
function bootSector(): Buffer {
  const image = Buffer.alloc(512);
  Buffer.from(program, 'hex').copy(image);
  image.writeUInt16LE(0xaa55, 510);
  return image;
}

const program = [
  'fa31c08ed88ec08ed0bc007cbf0010b90018f3ab66c70600100720000066c706002007300000bf003066b887',
  '000000b9200066890566050000200083c708e2f266b8a00000000f22e066b8001000000f22d866b9800000c0',
  '0f32660d000100000f300f0116c07c0f20c0660d010000800f22c0ea787c0800b8100000008ed88ed08ec0bf',
  '00001000b90000400031c0f348ab0f20d80f22d80fa2b81000000066baf400eef4ebfd900000000000000000',
  '00000000009a200000000000009200001700a87c',
].join('');
