import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import { buffer } from "node:stream/consumers";
import { MANAGER_PORT } from "../../cli/local/plan.js";
import type { ServerPlan } from "../../cli/local/server.js";
import { errorNameOf } from "../../shared/errors.js";
import { decodeCall } from "../../shared/xmlrpc/decode-call.js";
import { decodeResponse } from "../../shared/xmlrpc/decode-response.js";
import { encodeCall } from "../../shared/xmlrpc/encode-call.js";
import { isXmlRpcStruct, type XmlRpcStruct, type XmlRpcValue } from "../../shared/xmlrpc/value.js";
import { waitUntil } from "./wait-until.js";

const AGENT_PORTS = { head: 8882, storage: 8883 } as const;
/** The gate's port for calls to an agent, at the agent's own address. */
const GATE_PORT_OFFSET = 20_000;
/** The gate stands for the manager at an address of its own for each agent: so it knows who calls. */
const GATE_HOST_OFFSET = 100;

/** Which messages are meant; what is left out may be anything. */
export interface MessageFilter {
  readonly method: string;
  /** Server that calls: `manager`, `storage-2`. */
  readonly from?: string;
  readonly to?: string;
}

/** What a server answered: an errno name (`ESTALE`), or 0. */
export interface Answer {
  readonly errno: string | 0;
  readonly value: XmlRpcValue | undefined;
}

interface RawAnswer {
  readonly status: number;
  readonly body: Buffer;
}

/** One call on its way between the manager and an agent, in the hands of the gate. */
export class Message {
  #isAnswered = false;

  constructor(
    readonly from: string,
    readonly to: string,
    readonly method: string,
    readonly params: XmlRpcStruct,
    private readonly send: () => Promise<RawAnswer>,
    private readonly caller: ServerResponse,
  ) {}

  /** The caller waits for the answer no more: its deadline has passed, or it is gone. */
  get isGivenUp(): boolean {
    return this.caller.destroyed && !this.#isAnswered;
  }

  /** Delivers it, a second time too; the caller gets the first answer, if it still waits. */
  async deliver(): Promise<Answer> {
    const answer = await this.send();
    if (!this.#isAnswered && !this.caller.destroyed) {
      this.#isAnswered = true;
      this.caller.writeHead(answer.status, {
        "Content-Type": "text/xml",
        "Content-Length": answer.body.length,
      });
      this.caller.end(answer.body);
    }
    return readAnswer(answer);
  }

  /** Delivers it, and breaks the caller's connection in place of an answer. */
  async deliverAndLoseAnswer(): Promise<Answer> {
    const answer = await this.send();
    this.lose();
    return readAnswer(answer);
  }

  /** Breaks the caller's connection. It was not delivered, and still can be. */
  lose(): void {
    this.caller.destroy();
  }
}

type Handle = (message: Message) => unknown;

/** Messages of one kind that are held back, in the order in which they came. */
export class Hold {
  readonly messages: Message[] = [];
  #taken = 0;

  constructor(
    private readonly filter: MessageFilter,
    private readonly stop: () => void,
  ) {}

  /** Waits for the next message that was not returned before. */
  async next(): Promise<Message> {
    const place = this.#taken++;
    return waitUntil(`${this.filter.method} is called`, () => this.messages[place]);
  }

  /** Holds nothing more, and delivers what nobody took. */
  async release(): Promise<void> {
    this.stop();
    await Promise.all(this.messages.slice(this.#taken).map((message) => message.deliver()));
    this.#taken = this.messages.length;
  }

  /** Holds nothing more; what is held is for the test to deliver. */
  end(): void {
    this.stop();
  }
}

/**
 * Stands between the manager and the agents of a cluster, and passes on every call, unless the test wants otherwise.
 *
 * By configuration alone: to an agent, the gate's address is the manager's. To the manager an agent has the port that it
 * registers with, and registrations pass through here: the gate puts its own port in.
 */
export class MessageGate {
  readonly #servers: Server[] = [];
  readonly #handlers: { readonly filter: MessageFilter; readonly handle: Handle }[] = [];

  /** @param plans of all servers, as they are without a gate */
  static async open(plans: readonly ServerPlan[]): Promise<MessageGate> {
    const gate = new MessageGate();
    const manager = plans.find(({ kind }) => kind === "manager");
    for (const plan of plans) {
      if (plan.kind === "manager" || manager === undefined) continue;
      const port = AGENT_PORTS[plan.kind];
      const outside = { host: plan.address, port: port + GATE_PORT_OFFSET };
      await gate.#listen(outside, { from: "manager", to: plan.name, host: plan.address, port });
      const inside = { host: gateAddress(plan), port: MANAGER_PORT };
      await gate.#listen(inside, {
        from: plan.name,
        to: "manager",
        host: manager.address,
        port: MANAGER_PORT,
      });
    }
    return gate;
  }

  /** The plan of an agent that takes the gate for the manager; the manager's own stays as it is. */
  static through(plan: ServerPlan): ServerPlan {
    if (plan.kind === "manager") return plan;
    const storage_manager = { ...plan.conf.storage_manager, host_list: gateAddress(plan) };
    return { ...plan, conf: { ...plan.conf, storage_manager } };
  }

  /** From now on, messages that fit are handled in this way. @returns what ends that */
  handle(filter: MessageFilter, handle: Handle): () => void {
    const entry = { filter, handle };
    this.#handlers.unshift(entry);
    return () => {
      const place = this.#handlers.indexOf(entry);
      if (place >= 0) this.#handlers.splice(place, 1);
    };
  }

  /** Holds messages back. */
  hold(filter: MessageFilter): Hold {
    const stop = this.handle(filter, (message) => hold.messages.push(message));
    const hold = new Hold(filter, stop);
    return hold;
  }

  /** Delivers messages, and loses the answers of the first `count`. @returns how many were lost so far */
  loseAnswers(filter: MessageFilter, count: number): () => number {
    let lost = 0;
    const stop = this.handle(filter, async (message) => {
      lost += 1;
      if (lost === count) stop();
      await message.deliverAndLoseAnswer();
    });
    return () => lost;
  }

  /** Delivers messages twice, the second time after the first was answered. @returns the answers to the second ones */
  duplicate(filter: MessageFilter): readonly Answer[] {
    const second: Answer[] = [];
    this.handle(filter, async (message) => {
      await message.deliver();
      second.push(await message.deliver());
    });
    return second;
  }

  /** Messages that fit pass as ever. @returns those that have passed so far, to be delivered again */
  watch(filter: MessageFilter): readonly Message[] {
    const passed: Message[] = [];
    this.handle(filter, async (message) => {
      await message.deliver();
      passed.push(message);
    });
    return passed;
  }

  close(): void {
    for (const server of this.#servers) {
      server.close();
      server.closeAllConnections();
    }
  }

  async #listen(at: { readonly host: string; readonly port: number }, link: Link): Promise<void> {
    const server = createServer({ keepAliveTimeout: 60_000 }, (call, response) => {
      // A server that is dead or dying breaks the connection; so does the gate.
      this.#pass(call, response, link).catch(() => response.destroy());
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ ...at, exclusive: true }, resolve);
    });
    server.unref();
    this.#servers.push(server);
  }

  async #pass(call: IncomingMessage, response: ServerResponse, link: Link): Promise<void> {
    const { method, params } = decodeCall(await buffer(call));
    const struct = isXmlRpcStruct(params[0]) ? params[0] : {};
    const body = Buffer.from(encodeCall(method, params.length === 0 ? [] : [putGatePort(method, struct)]));
    const send = () => post(link, body);
    const message = new Message(link.from, link.to, method, struct, send, response);
    const handler = this.#handlers.find(({ filter }) => fits(message, filter));
    await (handler === undefined ? message.deliver() : handler.handle(message));
  }
}

interface Link {
  readonly from: string;
  readonly to: string;
  readonly host: string;
  readonly port: number;
}

function gateAddress({ address }: ServerPlan): string {
  return address.replace(/\d+$/, (host) => String(Number(host) + GATE_HOST_OFFSET));
}

function putGatePort(method: string, params: XmlRpcStruct): XmlRpcStruct {
  if (method !== "registerHeadServer" && method !== "registerStorageServer") return params;
  return { ...params, port: Number(params.port) + GATE_PORT_OFFSET };
}

function fits(message: Message, { method, from, to }: MessageFilter): boolean {
  return (
    message.method === method &&
    (from === undefined || message.from === from) &&
    (to === undefined || message.to === to)
  );
}

function readAnswer({ body }: RawAnswer): Answer {
  const response = decodeResponse(body);
  if (response.kind === "value") return { errno: 0, value: response.value };
  const { code } = response.fault;
  return { errno: errorNameOf(code) ?? String(code), value: undefined };
}

function post({ host, port }: Link, body: Buffer): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const headers = { "Content-Type": "text/xml", "Content-Length": body.length };
    const call = request({ method: "POST", path: "/RPC2", host, port, headers, agent: false }, (response) => {
      buffer(response).then((answer) => resolve({ status: response.statusCode ?? 0, body: answer }), reject);
    });
    call.once("error", reject);
    call.end(body);
  });
}
