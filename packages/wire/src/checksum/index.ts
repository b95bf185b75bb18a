/**
 * The Internet checksum, plain and in WebAssembly.
 *
 * @module
 */
export { append, finish, fold, pseudo, sum, update } from "./sum.ts"
export { type Summer, wasmSummer } from "./wasm-summer.ts"
export { fixedMemory, type WasmMemory } from "./web-assembly.ts"
