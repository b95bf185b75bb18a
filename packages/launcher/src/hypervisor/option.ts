/**
 * QEMU's `key=value,key=value` options. A comma inside a value is written twice.
 *
 * @module
 */

export type OptionValue = string | number | boolean

/** `option("socket", { id: "a,b", server: true })` is `socket,id=a,,b,server=on`. */
export function option(head: string, values: Readonly<Record<string, OptionValue>>): string {
  const pairs = Object.entries(values).map(([key, value]) => `${key}=${escaped(value)}`)
  return [...(head === "" ? [] : [head]), ...pairs].join(",")
}

function escaped(value: OptionValue): string {
  if (typeof value === "boolean") return value ? "on" : "off"
  return String(value).replaceAll(",", ",,")
}
