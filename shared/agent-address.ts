/** Where an agent answers; its addresses are tried in order. */
export interface AgentAddress {
  readonly addresses: readonly string[];
  readonly port: number;
}
