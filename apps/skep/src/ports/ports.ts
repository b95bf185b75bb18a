// Placeholder until the real one lands beside it.
export interface PortsStatus {
  readonly forwards: readonly { hostAddress: string; hostPort: number; transport: string; container: string }[]
  readonly warnings: readonly { reason: string }[]
}
export interface Ports extends AsyncDisposable {
  settled(containerId: string): Promise<void>
  status(): PortsStatus
}
export async function startPorts(_options: unknown): Promise<Ports> {
  return { settled: async () => undefined, status: () => ({ forwards: [], warnings: [] }), [Symbol.asyncDispose]: async () => undefined }
}
