/**
 * `skep doctor`: is everything here that Skep needs, and what to do about what is not.
 *
 * @module
 */
import { access, constants, statfs } from "node:fs/promises"
import { basename, dirname } from "node:path"
import { SidecarError } from "@skep/contract"
import { currentImage, hostPrograms as guestPrograms } from "@skep/guest"
import { describeHost, type HostDescription, hostPrograms as launcherPrograms } from "@skep/launcher"
import { EXIT } from "@skep/runtime/exit"
import { hasMachines, isOurs } from "../../client/backend.ts"
import { exportLine, findDocker, findProgram, pathOf } from "../../context/docker-command.ts"
import { createHome, homeFrom, machinePaths } from "../../home/paths.ts"
import { readSettings } from "../../home/settings.ts"
import { hostArch } from "../../machine/arch.ts"
import { formatBytes } from "../output.ts"
import type { Session } from "../session.ts"

type Verdict = "ok" | "warn" | "fail"

interface Finding {
  readonly check: string
  readonly verdict: Verdict
  readonly text: string
  readonly next?: string
}

const DISK_FREE_MIN = 4 * 2 ** 30
/** A user's PATH may lack what only root is expected to run. */
const SEARCHED = [...pathOf(process.env), "/usr/sbin", "/sbin"]

export async function doctor(session: Session): Promise<void> {
  const checks = [node, programs, dockerCommand, home, sockets, disk, settings, accelerator, network, backend]
  const findings: Finding[] = []
  for (const check of checks) findings.push(...(await check(session)))
  if (findings.some((finding) => finding.verdict === "fail")) process.exitCode = EXIT.failed
  const { output } = session
  if (output.json) {
    output.value(findings)
    return
  }
  const mark = {
    ok: output.style("green", "ok  "),
    warn: output.style("yellow", "warn"),
    fail: output.style("red", "FAIL"),
  }
  for (const finding of findings) {
    output.line(`${mark[finding.verdict]}  ${finding.check.padEnd(12)}  ${finding.text}`)
    if (finding.next !== undefined) output.line(`      ${"".padEnd(12)}  next: ${finding.next}`)
  }
}

async function node(): Promise<Finding[]> {
  return [{ check: "node", verdict: "ok", text: process.version }]
}

async function programs(): Promise<Finding[]> {
  const needed = [...launcherPrograms(), ...guestPrograms()]
  const missing: { program: string; debianPackage: string }[] = []
  for (const entry of needed)
    if ((await findProgram(entry.program, SEARCHED)) === undefined) missing.push(entry)
  if (missing.length === 0) {
    return [{ check: "programs", verdict: "ok", text: needed.map(({ program }) => program).join(", ") }]
  }
  return missing.map(({ program, debianPackage }) => ({
    check: "programs",
    verdict: "fail",
    text: `${program} is missing`,
    next: `apt-get install ${debianPackage}`,
  }))
}

async function dockerCommand({ home: { bin } }: Session): Promise<Finding[]> {
  const check = "docker"
  const docker = await findDocker(process.env, bin)
  if (docker?.isOnPath === true) return [{ check, verdict: "ok", text: docker.path }]
  if (docker !== undefined) {
    const next = `For a plain docker: ${exportLine(bin)}`
    return [{ check, verdict: "ok", text: `${docker.path}, which is not on the PATH`, next }]
  }
  const next = "skep docker-cli (or apt-get install docker-cli, from Debian 13 on)"
  return [{ check, verdict: "warn", text: "there is no docker command on this host", next }]
}

async function home(session: Session): Promise<Finding[]> {
  try {
    await createHome(session.home)
    await access(session.home.home, constants.W_OK)
    return [{ check: "home", verdict: "ok", text: session.home.home }]
  } catch (error) {
    return [failed("home", error)]
  }
}

async function sockets(session: Session): Promise<Finding[]> {
  try {
    homeFrom(process.env)
    machinePaths(session.home, "a".repeat(16))
    return [{ check: "sockets", verdict: "ok", text: session.home.run }]
  } catch (error) {
    return [failed("sockets", error)]
  }
}

async function disk(session: Session): Promise<Finding[]> {
  const { bavail, bsize } = await statfs(session.home.home).catch(() => ({ bavail: 0, bsize: 0 }))
  const free = bavail * bsize
  const text = `${formatBytes(free)} free at ${session.home.home}`
  if (free >= DISK_FREE_MIN) return [{ check: "disk", verdict: "ok", text }]
  return [
    { check: "disk", verdict: "warn", text, next: "Free some space, or point SKEP_HOME at another disk" },
  ]
}

async function settings(session: Session): Promise<Finding[]> {
  try {
    await readSettings(session.home.settingsFile)
    return [{ check: "settings", verdict: "ok", text: session.home.settingsFile }]
  } catch (error) {
    return [failed("settings", error)]
  }
}

async function accelerator(session: Session): Promise<Finding[]> {
  try {
    const image = await currentImage(session.home.images, hostArch()).catch(() => undefined)
    const kernel = image === undefined ? {} : { kernel: image.kernel }
    const host = await describeHost({ verdictFile: session.home.verdictFile, ...kernel })
    const version = host.version === undefined ? "missing" : `${host.version}, ${host.path}`
    return [
      {
        check: "hypervisor",
        verdict: host.version === undefined ? "fail" : "ok",
        text: `${host.program} ${version}`,
      },
      acceleratorFinding(host),
      await vsockFinding(host),
    ]
  } catch (error) {
    return [failed("hypervisor", error)]
  }
}

function acceleratorFinding({ kvm, verdict }: HostDescription): Finding {
  const check = "accelerator"
  if (verdict !== undefined) {
    const slow = verdict.proven === "tcg"
    const why = slow && kvm === "opens" ? ": /dev/kvm opens, but no Linux guest starts under it" : ""
    return {
      check,
      verdict: slow ? "warn" : "ok",
      text: `${verdict.proven}, proved by an earlier start${why}`,
    }
  }
  if (kvm === "opens") return { check, verdict: "ok", text: "/dev/kvm opens; the first start will prove it" }
  const text =
    kvm === "denied"
      ? "/dev/kvm is there, but this user may not open it"
      : "there is no /dev/kvm: emulation is slow"
  return {
    check,
    verdict: "warn",
    text,
    ...(kvm === "denied" ? { next: "add the user to the group kvm, then log in again" } : {}),
  }
}

/** Which vsock device machines get, and why not the kernel's. */
async function vsockFinding({ verdict }: HostDescription): Promise<Finding> {
  const { preferKernelVsock, probeVhostVsock } = await import("@skep/adapters/vhost-vsock/choice")
  const accelerator = verdict?.proven ?? "kvm"
  const { kernel, reason } = preferKernelVsock({ probe: probeVhostVsock(), accelerator })
  return { check: "vsock", verdict: "ok", text: `${kernel ? "the kernel's" : "skep-vsock"}: ${reason}` }
}

/** Who serves the networks of new machines, and whether that is to be had. */
async function network({ home: { settingsFile } }: Session): Promise<Finding[]> {
  const check = "network"
  const gvproxy = process.env["SKEP_GVPROXY"] ?? "gvproxy"
  const own = {
    passt: { found: await findProgram("passt", SEARCHED), next: "apt-get install passt" },
    gvproxy: {
      found: await findProgram(basename(gvproxy), gvproxy.includes("/") ? [dirname(gvproxy)] : SEARCHED),
      next: "put gvproxy on PATH, or its path into SKEP_GVPROXY",
    },
  }
  // What is wrong with the settings is another check's to say.
  const chosen = (await readSettings(settingsFile).catch(() => undefined))?.network ?? "skep"
  const others = Object.entries(own)
    .map(([name, { found }]) =>
      found === undefined ? `${name} is not installed` : `--network ${name} is to be had: ${found}`,
    )
    .join("; ")
  if (chosen === "skep") return [{ check, verdict: "ok", text: `skep-network; ${others}` }]
  if (chosen === "user") return [{ check, verdict: "ok", text: `QEMU's own; ${others}` }]
  const { found, next } = own[chosen]
  return found === undefined
    ? [{ check, verdict: "fail", text: `${chosen} is missing`, next }]
    : [{ check, verdict: "ok", text: `${chosen}: ${found}` }]
}

async function backend(session: Session): Promise<Finding[]> {
  const check = "backend"
  try {
    if (await isOurs(session.home, session.signal)) return [{ check, verdict: "ok", text: "running" }]
  } catch (error) {
    return [failed(check, error)]
  }
  const isNeeded = await hasMachines(session.home)
  return [
    { check, verdict: "ok", text: isNeeded ? "not running; the next command starts it" : "not needed yet" },
  ]
}

function failed(check: string, error: unknown): Finding {
  if (!(error instanceof SidecarError)) throw error
  return {
    check,
    verdict: "fail",
    text: error.message,
    ...(error.next === undefined ? {} : { next: error.next }),
  }
}
