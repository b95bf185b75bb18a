/**
 * The kernel's command line. It holds nothing secret: everyone in the guest can read it.
 *
 * @module
 */
import { readFile } from "node:fs/promises"
import { SidecarError } from "@skep/contract"
import type { Arch } from "./recipe.ts"

export interface CommandLineOptions {
  readonly arch: Arch
  /** Emulation ("tcg") gets parameters that only make sense there; leave it out for what is right everywhere. */
  readonly accelerator?: "kvm" | "hvf" | "tcg"
  /** The host's time stamp counter, see `hostTscKhz`; only used with emulation. */
  readonly tscKhz?: number
}

const X86 = [
  // The first line must come at once: a launcher takes silence for a hang. Notices only, so a boot prints some 30 lines.
  "earlyprintk=ttyS0",
  "console=ttyS0",
  "loglevel=6",
  // There is one socket and one counter: no watching it, and no slower clock instead of it.
  "tsc=reliable",
  "clocksource=tsc",
  // A panic ends the virtual machine, so that its launcher sees it.
  "panic=-1",
]

/** Returns the command line for a guest of this image. Throws "unsupported-arch": serial port and counter are x86's. */
export function kernelCommandLine(options: CommandLineOptions): string {
  if (options.arch !== "amd64") {
    throw new SidecarError(
      "unsupported-arch",
      `Cannot boot a guest of "${options.arch}": only amd64 works so far`,
    )
  }
  const emulation = options.accelerator === "tcg" ? emulationParameters(options.tscKhz) : []
  return [...X86, ...emulation].join(" ")
}

/**
 * Returns what to add under pure emulation (QEMU's TCG). An emulator does not speculate, so the guards against
 * speculation only cost; page table isolation alone empties the emulator's address cache at each system call. Fixed
 * program addresses let it reuse translated code from one process to the next: starting a program takes a quarter of
 * the time. Together they halve the boot. With a `tscKhz` the kernel need not measure its clock against the emulated
 * timer, which fails now and then and on `microvm`, without a second timer, then hangs before user space.
 */
export function emulationParameters(tscKhz?: number): readonly string[] {
  return ["mitigations=off", "norandmaps", ...(tscKhz === undefined ? [] : [`tsc_early_khz=${tscKhz}`])]
}

/**
 * Returns the frequency of this host's time stamp counter in kHz, which an emulated guest sees unchanged; undefined
 * where Linux on x86 does not tell. Linux derives `bogomips` from the counter: two for each MHz.
 */
export async function hostTscKhz(cpuinfo: string = "/proc/cpuinfo"): Promise<number | undefined> {
  const text = await readFile(cpuinfo, "utf8").catch(() => "")
  const bogomips = /^bogomips\s*:\s*([\d.]+)$/m.exec(text)?.[1]
  if (bogomips === undefined || !/^flags\s*:.*\bconstant_tsc\b/m.test(text)) return undefined
  return Math.round(Number(bogomips) * 500)
}
