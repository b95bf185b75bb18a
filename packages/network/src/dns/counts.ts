/**
 * What is counted, by name: how queries were answered, and why some were not.
 *
 * @module
 */
const ZERO = {
  udp: 0,
  tcp: 0,
  // Answered by what is known here.
  own: 0,
  zone: 0,
  special: 0,
  "hosts-file": 0,
  // Answered by what the host's resolver said: now, before, or to somebody who asked the same at the same time.
  outside: 0,
  cached: 0,
  joined: 0,
  // Did not fit into UDP: the machine asks again over TCP.
  cut: 0,
  // Answered with SERVFAIL.
  failed: 0,
  busy: 0,
  // Answered with REFUSED.
  "refused-policy": 0,
  "refused-name": 0,
  "refused-class": 0,
  "refused-type": 0,
  // Answered with NOTIMP or BADVERS.
  "not-implemented": 0,
  "bad-version": 0,
  // Dropped: nothing to answer to.
  "too-short": 0,
  "not-a-query": 0,
  // Answered with FORMERR.
  "no-question": 0,
  "with-answers": 0,
  truncated: 0,
  "bad-label": 0,
  "bad-pointer": 0,
  "name-too-long": 0,
  "bad-count": 0,
  "bad-opt": 0,
  "duplicate-opt": 0,
  trailing: 0,
}

export type DnsCounter = keyof typeof ZERO

export class Counts {
  readonly #counts: Record<DnsCounter, number> = { ...ZERO }

  add(name: DnsCounter): void {
    this.#counts[name]++
  }

  /** A copy of how things stand. */
  snapshot(): Readonly<Record<DnsCounter, number>> {
    return { ...this.#counts }
  }
}
