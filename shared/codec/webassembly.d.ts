/** The part of the WebAssembly interface that `kernels.ts` uses: Node 20's types lack it. */
declare namespace WebAssembly {
  class Module {
    private constructor();
  }
  class Instance {
    constructor(module: Module, imports: object);
    readonly exports: Record<string, unknown>;
  }
  class Memory {
    constructor(size: { initial: number; maximum: number; shared: boolean });
    readonly buffer: ArrayBuffer;
  }
  interface Global {
    // biome-ignore lint/suspicious/noExplicitAny: a number or a bigint, by the export's type.
    readonly value: any;
  }
  function compile(bytes: Uint8Array): Promise<Module>;
}
