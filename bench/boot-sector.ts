/**
 * A guest that needs no kernel: a boot sector that counts, and for each count writes it into one
 * page of a region, scattered.
 *
 *   counter at 0x9000 (u32); the CPU keeps the same count in a register
 *   1 at 0x9004 if the two ever differed: RAM and device state were not of one instant
 *   page for count c: base + (((c * 0x2c9277b5) >>> 8) & mask) * 4096, at offset 8
 *
 * `delay` is read from RAM each time: whoever writes it there sets the guest's pace. It is the turns
 * of an empty loop between two counts, or, where the guest goes by its clock, ticks of its time stamp
 * counter from one count to when the next is due: then what it was kept from is made up for, and its
 * pace does not follow the speed of the processor. Its clock stands still while it does.
 */
export const counterPage = 9;
export const basePage = 0x200000 / 4096;
/** Physical address of `delay` (u32). */
export const delayAddress = 0x7c00 + 0x1d8;

/**
 * The program, assembled from:
 *
 *   cli; xor ax,ax; mov ds,ax; lgdt [gdtr]; mov eax,cr0; or eax,1; mov cr0,eax; jmp 8:prot
 * prot: mov eax,16; mov ds,eax; mov es,eax; mov ss,eax
 *   xor esi,esi; mov [0x9000],esi; mov [0x9004],esi
 * again: cmp esi,[0x9000]; je 2f; mov dword [0x9004],1
 * 2: inc esi; mov [0x9000],esi
 *   imul edx,esi,0x2c9277b5; shr edx,8; and edx,[mask]; shl edx,12; add edx,[base]
 *   mov [edx+8],esi; mov ecx,[delay]
 * 1: loop 1b; jmp again
 *
 * or, with the clock, where what is more than 2^28 ticks away is not made up for, from [edx+8] on:
 *
 *   mov [edx+8],esi; add ebx,[delay]
 * 1: rdtsc; sub eax,ebx; lea ecx,[eax+0x10000000]; cmp ecx,0x20000000; jae 3f
 *   test eax,eax; js 1b; jmp again
 * 3: add ebx,eax; jmp again
 */
export function bootSector(
  mask: number,
  delay: number,
  goesBy: 'turns' | 'clock' = 'turns',
): Buffer {
  const image = Buffer.alloc(1_474_560); // a floppy's size; SeaBIOS boots from no tiny disk
  Buffer.from(goesBy === 'turns' ? program : clockedProgram, 'hex').copy(image);
  image.writeUInt32LE(basePage * 4096, 0x1d0);
  image.writeUInt32LE(mask, 0x1d4);
  image.writeUInt32LE(delay, 0x1d8);
  image.writeUInt16LE(0xaa55, 510);
  return image;
}

const program = [
  'fa31c08ed80f0116887c0f20c06683c8010f22c0ea197c0800b8100000008ed88ec08ed031f6893500900000',
  '8935049000003b3500900000740ac70504900000010000004689350090000069d6b577922cc1ea082315d47d',
  '0000c1e20c0315d07d00008972088b0dd87d0000e2feebc20000000000000000ffff0000009acf00ffff0000',
  '0092cf001700707c',
].join('');

const clockedProgram = [
  'fa31c08ed80f0116a27c0f20c06683c8010f22c0ea197c0800b8100000008ed88ec08ed031f6893500900000',
  '8935049000003b3500900000740ac70504900000010000004689350090000069d6b577922cc1ea082315d47d',
  '0000c1e20c0315d07d0000897208031dd87d00000f3129d88d880000001081f900000020730685c078eaebae',
  '01c3ebaa00000000000000000000ffff0000009acf00ffff00000092cf0017008a7c0000',
].join('');
