/**
 * How bootpd reads its file, step by step as `PLCache_read` and `my_fgets` of bootplib/NICache.c do it: what the parser is judged by.
 *
 * @module
 */

/** In the order of the file; one name may be there twice. */
export type Properties = readonly (readonly [name: string, value: string])[]

const LINE = 1024

export function plCacheRead(file: Buffer): readonly Properties[] {
  const entries: Properties[] = []
  let properties: [string, string][] = []
  let where: "nowhere" | "start" | "body" | "end" = "nowhere"
  for (const line of lines(file)) {
    if (line === "{\n") {
      if (where !== "end" && where !== "nowhere") return entries
      where = "start"
    } else if (line === "}\n") {
      if (where !== "start" && where !== "body") return entries
      if (properties.length > 0) entries.push(properties)
      properties = []
      where = "end"
    } else {
      const blanks = /^[ \t\n]*/.exec(line)?.[0].length ?? 0
      if (blanks === line.length) continue
      const separator = line.indexOf("=")
      properties.push(
        separator === -1
          ? [line.slice(blanks, -1), ""]
          : [line.slice(blanks, separator), line.slice(separator + 1, -1)],
      )
      where = "body"
    }
  }
  return entries
}

/** A line ends behind a line feed, or before a zero; reading ends with a line of nothing. Beyond 1023 bytes a line is lost. */
function* lines(file: Buffer): Generator<string> {
  let at = 0
  while (at < file.length) {
    let line = ""
    while (at < file.length) {
      const byte = file[at++] ?? 0
      if (byte === 0) break
      if (line.length < LINE - 1) line += String.fromCharCode(byte)
      if (byte === 0x0a) break
    }
    if (line === "") return
    yield line
  }
}
