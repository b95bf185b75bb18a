/**
 * Lines of owners in pieces that one request has room for.
 *
 * @module
 */

/** Of a request's body, which may have 1 MiB. */
const PIECE_BYTES = 256 << 10
const PIECE_LINES = 4096

/** How long a line may be: that of a path of 4096 bytes, each of them written as six, is shorter. */
export const LINE_MAX: number = 32 << 10

export async function* piecesOf(
  lines: AsyncIterable<string> | Iterable<string>,
): AsyncGenerator<readonly string[]> {
  let piece: string[] = []
  let bytes = 0
  for await (const line of lines) {
    // Too long to be one, and so it is refused: what of it can be shown is enough for that.
    const sent = line.length > LINE_MAX ? line.slice(0, LINE_MAX) : line
    const size = Buffer.byteLength(JSON.stringify(sent)) + 1
    if (piece.length > 0 && (bytes + size > PIECE_BYTES || piece.length >= PIECE_LINES)) {
      yield piece
      piece = []
      bytes = 0
    }
    piece.push(sent)
    bytes += size
  }
  if (piece.length > 0) yield piece
}
