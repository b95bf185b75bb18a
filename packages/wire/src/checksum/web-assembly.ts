/**
 * The part of the WebAssembly JavaScript interface that is used here. TypeScript knows it only together with the types of browsers.
 *
 * @module
 */

/** A memory that is neither shared nor grown, so that `buffer` stays the same. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer
}

interface Instance {
  readonly exports: Readonly<Record<string, unknown>>
}

declare const WebAssembly: {
  readonly Memory: new (descriptor: { readonly initial: number; readonly maximum: number }) => WasmMemory
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => object
  readonly Instance: new (
    module: object,
    imports: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  ) => Instance
}

const PAGE = 65_536

/** A memory of at least `size` bytes, all of them zeros. Pages are taken from the system as they are touched. */
export function fixedMemory(size: number): WasmMemory {
  const pages = Math.ceil(size / PAGE)
  return new WebAssembly.Memory({ initial: pages, maximum: pages })
}

/** Compiles a module made by `assemble`. */
export function compile(bytes: Uint8Array<ArrayBuffer>): object {
  return new WebAssembly.Module(bytes)
}

/** The function that a module made by `assemble` exports, over this memory. */
export function link(module: object, memory: WasmMemory): (...args: number[]) => number {
  const { run } = new WebAssembly.Instance(module, { host: { memory } }).exports
  if (!isFunction(run)) throw new Error("the module exports no function")
  return run
}

function isFunction(value: unknown): value is (...args: number[]) => number {
  return typeof value === "function"
}
