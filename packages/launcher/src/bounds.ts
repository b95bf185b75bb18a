/**
 * What a hypervisor is given at most. A module of its own without any import, for a command that only checks what was typed.
 *
 * @module
 */

export const CPUS_MAX = 64
/** 1 TiB. */
export const MEMORY_MAX_MIB: number = 1 << 20
