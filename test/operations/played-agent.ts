import { onTestFinished } from "vitest";
import { XmlRpcFault } from "../../shared/xmlrpc/fault.js";
import { createXmlRpcServer } from "../../shared/xmlrpc/server.js";
import type { XmlRpcValue } from "../../shared/xmlrpc/value.js";

/** What an agent answers to a method; a fault that is thrown is the answer. */
export type Answers = Record<string, () => XmlRpcValue | Promise<XmlRpcValue>>;

/** An agent's door that answers as it is told; `answers` may be changed at any time. */
export class PlayedAgent {
  readonly calls: string[] = [];

  private constructor(
    readonly address: string,
    readonly answers: Answers,
    readonly close: () => Promise<void>,
  ) {}

  port = 0;

  static async start(address: string, answers: Answers): Promise<PlayedAgent> {
    const server = createXmlRpcServer({
      dispatch: async (method) => {
        agent.calls.push(method);
        const answer = agent.answers[method];
        if (answer === undefined) throw new XmlRpcFault(1, `there is no method "${method}"`);
        return answer();
      },
      maxBodyBytes: 1_000_000,
      maxHeldBytes: 64_000_000,
      maxConnections: 10,
      headersTimeoutMs: 5_000,
      requestTimeoutMs: 5_000,
      keepAliveTimeoutMs: 5_000,
      onDefect: (error) => {
        throw error;
      },
    });
    let open = true;
    const close = async (): Promise<void> => {
      if (open) await server.close(0);
      open = false;
    };
    onTestFinished(close);
    const agent: PlayedAgent = new PlayedAgent(address, answers, close);
    agent.port = (await server.listen(address, 0)).port;
    return agent;
  }
}
