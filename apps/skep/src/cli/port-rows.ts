/**
 * Published ports as `skep ls`, `status` and `up` tell of them. Pure.
 *
 * A port that the host has taken is refused after Docker has started its container, and Docker's own answer cannot say so: these are the places
 * where somebody looks who cannot reach it.
 *
 * @module
 */
import type { PortsStatus } from "../ports/ports.ts"
import type { Row } from "./guest-rows.ts"

type Published = Pick<PortsStatus, "forwards" | "warnings">

/** For `status`: a row a port, then what is wrong with others and what to do. */
export function portRows(ports: Published | undefined): readonly Row[] {
  if (ports === undefined) return []
  return [
    ...ports.forwards.map(
      (forward): Row => [
        "port",
        `${forward.hostAddress}:${forward.hostPort}/${forward.transport} -> ${forward.container}`,
      ],
    ),
    ...ports.warnings.flatMap(({ container, reason, next }): readonly Row[] => [
      ["warning", `${container}: ${reason}`],
      ["next", next],
    ]),
  ]
}

/** For the table of `ls`: how many there are, and that there is more to know. */
export function portCount(ports: Published | undefined): string {
  if (ports === undefined) return "-"
  const { forwards, warnings } = ports
  if (warnings.length === 0) return String(forwards.length)
  return `${forwards.length}, ${warnings.length} ${warnings.length === 1 ? "warning" : "warnings"}`
}

/** For `up`, which has put them in place. */
export function portNotes(ports: Published | undefined): readonly string[] {
  return (ports?.warnings ?? []).map(
    ({ container, reason, next }) => `warning: ${container}: ${reason}. ${next}`,
  )
}
