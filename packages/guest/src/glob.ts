/**
 * The little of glob patterns that the recipe uses: `*` within a name, `**` across names, `{a,b}` for alternatives.
 *
 * @module
 */

/** Returns a test for whole paths against any of the patterns. */
export function matcher(patterns: readonly string[]): (path: string) => boolean {
  const expressions = patterns.map((pattern) => new RegExp(`^${translate(pattern)}$`))
  return (path) => expressions.some((expression) => expression.test(path))
}

function translate(pattern: string): string {
  return pattern.replaceAll(/\*\*|[*{},]|[.+?^$()|[\]\\]/g, (token) => {
    switch (token) {
      case "**":
        return ".*"
      case "*":
        return "[^/]*"
      case "{":
        return "(?:"
      case "}":
        return ")"
      case ",":
        return "|"
      default:
        return `\\${token}`
    }
  })
}
