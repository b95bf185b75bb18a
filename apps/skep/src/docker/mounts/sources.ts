/**
 * Where the body of a request to Docker names directories of the host: Docker Engine API v1.41, ContainerCreate, ServiceCreate, ServiceUpdate and VolumeCreate.
 *
 * Keys are compared as Go's encoding/json does, in any case. What is not of the expected shape is left for the engine to refuse.
 *
 * @module
 */

/** One place in the body. */
export interface MountSource {
  /** Absolute, as the client wrote it. */
  readonly path: string
  /** Puts another one there. */
  readonly replace: (path: string) => void
}

type Body = Record<string, unknown>

const VERSION = String.raw`^(?:\/v\d+(?:\.\d+)*)?`
const CONTAINERS = new RegExp(String.raw`${VERSION}\/containers\/create(?:\?|$)`)
const SERVICES = new RegExp(String.raw`${VERSION}\/services\/(?:create|[^/?]+\/update)(?:\?|$)`)
const VOLUMES = new RegExp(String.raw`${VERSION}\/volumes\/create(?:\?|$)`)

/** Whether the body of this request may name any. */
export function mayMount(method: string | undefined, url: string | undefined): boolean {
  return method === "POST" && [CONTAINERS, SERVICES, VOLUMES].some((pattern) => pattern.test(url ?? ""))
}

/** All that it names, in its order. */
export function mountSources(url: string, body: unknown): readonly MountSource[] {
  if (CONTAINERS.test(url)) {
    const host = field(body, "HostConfig")
    return [...binds(host), ...mounts(host)]
  }
  if (SERVICES.test(url)) return mounts(field(field(body, "TaskTemplate"), "ContainerSpec"))
  return options(body, "DriverOpts")
}

/** `SOURCE:TARGET[:OPTIONS]`; a source that is no path is the name of a volume, and a single word is an anonymous one. */
function binds(host: unknown): readonly MountSource[] {
  const list = field(host, "Binds")
  if (!Array.isArray(list)) return []
  return list.flatMap((text: unknown, index) => {
    if (typeof text !== "string" || !text.startsWith("/")) return []
    const colon = text.indexOf(":")
    if (colon < 0) return []
    const replace = (path: string): void => {
      list[index] = path + text.slice(colon)
    }
    return [{ path: text.slice(0, colon), replace }]
  })
}

function mounts(holder: unknown): readonly MountSource[] {
  const list = field(holder, "Mounts")
  if (!Array.isArray(list)) return []
  return list.flatMap((mount: unknown) => {
    if (field(mount, "Type") === "bind") return place(mount, "Source")
    return options(field(field(mount, "VolumeOptions"), "DriverConfig"), "Options")
  })
}

/** Of the local driver: `type=none,o=bind,device=PATH`, which Compose files have. */
function options(holder: unknown, name: string): readonly MountSource[] {
  const set = field(holder, name)
  const flags = field(set, "o")
  const isBind = typeof flags === "string" && flags.split(",").some((flag) => /^r?bind$/.test(flag.trim()))
  return isBind ? place(set, "device") : []
}

function place(holder: unknown, name: string): readonly MountSource[] {
  const key = keyOf(holder, name)
  const path = field(holder, name)
  if (!isBody(holder) || key === undefined || typeof path !== "string" || !path.startsWith("/")) return []
  const replace = (other: string): void => {
    holder[key] = other
  }
  return [{ path, replace }]
}

function field(holder: unknown, name: string): unknown {
  const key = keyOf(holder, name)
  return key === undefined || !isBody(holder) ? undefined : holder[key]
}

/** The last of several that differ in case only: that is whom Go takes. */
function keyOf(holder: unknown, name: string): string | undefined {
  if (!isBody(holder)) return undefined
  return Object.keys(holder).findLast((key) => key.toLowerCase() === name.toLowerCase())
}

function isBody(value: unknown): value is Body {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}
