import { readFileSync, writeFileSync } from 'node:fs';
import type { RamFile } from '../../shared/memory/ram-file.ts';
import { readCounter, readPage } from '../shared/qemu/counter-guest.ts';

/**
 * A guest that needs no kernel: a boot sector that counts and writes each count to its second disk,
 * through the BIOS. It looks itself whether its disk is the one that its memory believes in.
 *
 *   count C at 0x9000 (u32), written after the sector of C, which is C modulo `sectorCount`, has C
 *   1 at 0x9004 if before a count the sector of C did not have C, or that of C + 1 had anything but
 *   what it got one turn before; then the value that was found and C or C + 1 follow
 */
export const sectorCount = 64;

/** `delay`: turns of an empty loop between two counts. */
export function makeWritingGuest(path: string, delay: number): void {
  const image = Buffer.alloc(1_474_560); // a floppy's size; SeaBIOS boots from no tiny disk
  Buffer.from(program, 'hex').copy(image);
  image.writeUInt32LE(sectorCount - 1, 0x1d4);
  image.writeUInt32LE(delay, 0x1d8);
  image.writeUInt16LE(0xaa55, 510);
  writeFileSync(path, image);
}

/** What the guest itself has found wrong, or undefined. */
export function complaintOf(ram: RamFile): string | undefined {
  const words = new DataView(readPage(ram, 9).buffer);
  const [bad, found, count] = [4, 8, 12].map((at) => words.getUint32(at, true));
  return bad === 0 ? undefined : `it found ${found} at count ${count}`;
}

/**
 * What is wrong with the disk of a guest that stands still, or undefined: each sector must have the
 * last count that went to it. The guest may be stopped between writing and counting.
 */
export function checkSectors(image: string, ram: RamFile): string | undefined {
  const count = readCounter(ram);
  const bytes = readFileSync(image);
  for (let c = Math.max(1, count - sectorCount + 2); c <= count; c++) {
    const found = bytes.readUInt32LE((c % sectorCount) * 512);
    if (found !== c) return `the sector of ${c} has ${found} at count ${count}`;
  }
  const next = bytes.readUInt32LE(((count + 1) % sectorCount) * 512);
  const isRight = next === count + 1 || next === Math.max(0, count + 1 - sectorCount);
  return isRight ? undefined : `the sector after ${count} has ${next}`;
}

/**
 * Assembled from:
 *
 *   cli; xor ax,ax; mov ds,ax; mov es,ax; mov ss,ax; mov sp,0x7c00; sti
 *   xor ebx,ebx; mov [0x9000],ebx; mov [0x9004],ebx
 * again: mov ebx,[0x9000]
 *   mov eax,ebx; mov dh,0x42; call sector; cmp [0x8000],ebx; jne bad
 *   inc ebx; mov eax,ebx; call sector
 *   mov eax,ebx; sub eax,[mask]; dec eax; jns 1f; xor eax,eax
 * 1: cmp [0x8000],eax; jne bad
 *   mov [0x8000],ebx; mov [0x81fc],ebx; mov eax,ebx; mov dh,0x43; call sector
 *   mov [0x9000],ebx; mov ecx,[delay]
 * 2: addr32 loop 2b; jmp again
 * sector: and eax,[mask]; mov [lba],eax; mov ah,dh; mov al,0; mov dl,0x81; mov si,packet
 *   push ebx; push dx; int 0x13; pop dx; pop ebx; jc bad; ret
 * bad: mov dword [0x9004],1; mov eax,[0x8000]; mov [0x9008],eax; mov [0x900c],ebx; jmp $
 * packet: db 16,0; dw 1,0x8000,0
 * lba: dd 0,0
 */
const program = [
  'fa31c08ed88ec08ed0bc007cfb6631db66891e009066891e0490668b1e00906689d8b642e8460066391e0080',
  '755c66436689d8e837006689d8662b06d47d664879036631c06639060080753e66891e008066891efc816689',
  'd8b643e80f0066891e0090668b0ed87d67e2fdebad662306d47d66a3ac7c88f4b000b281bea47c665352cd13',
  '5a665b7201c366c70604900100000066a1008066a3089066891e0c90ebfe6690100001000080',
].join('');
