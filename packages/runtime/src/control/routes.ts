/**
 * The routes of a control socket: "METHOD /path/:parameter" to a handler.
 *
 * @module
 */

export interface ControlRequest {
  readonly params: Readonly<Record<string, string>>
  readonly query: URLSearchParams
  /** The parsed JSON body, or undefined. */
  readonly body: unknown
  /** Aborts when the caller has hung up. */
  readonly signal: AbortSignal
}

/** What a handler answers: a value becomes JSON, an async iterable becomes JSON lines, `Text` goes out as it is. */
export type Handler = (request: ControlRequest) => Promise<unknown>

export type Routes = Readonly<Record<string, Handler>>

/** A plain-text answer. */
export class Text {
  readonly body: string
  readonly type: string

  constructor(body: string, type: string) {
    this.body = body
    this.type = type
  }
}

export interface Match {
  readonly handler: Handler
  readonly params: Readonly<Record<string, string>>
}

/** Finds the handler of a request, or undefined. `path` is still percent-encoded. */
export function match(routes: Routes, method: string, path: string): Match | undefined {
  const parts = path.split("/")
  for (const [key, handler] of Object.entries(routes)) {
    const [routeMethod, routePath = ""] = key.split(" ")
    if (routeMethod !== method) continue
    const params = matchPath(routePath.split("/"), parts)
    if (params !== undefined) return { handler, params }
  }
  return undefined
}

function matchPath(route: readonly string[], parts: readonly string[]): Record<string, string> | undefined {
  if (route.length !== parts.length) return undefined
  const params: Record<string, string> = {}
  for (const [index, want] of route.entries()) {
    const have = parts[index] ?? ""
    if (want.startsWith(":")) {
      const value = decode(have)
      if (value === undefined || value === "") return undefined
      params[want.slice(1)] = value
    } else if (want !== have) return undefined
  }
  return params
}

function decode(part: string): string | undefined {
  try {
    return decodeURIComponent(part)
  } catch {
    return undefined
  }
}
