import { createServer } from "node:net";
import { pino } from "pino";
import { expect, onTestFinished, test } from "vitest";
import { AgentsPort } from "../../manager/agents-port/agents-port.js";
import { checkServers } from "../../manager/jobs/reconcilers/check-servers.js";
import { HeardServers } from "../../manager/jobs/reconcilers/heard-servers.js";
import { listHeadServers } from "../../manager/operations/list-head-servers.js";
import { notifyFailure } from "../../manager/operations/notify-failure.js";
import { registerHeadServer } from "../../manager/operations/register-head-server.js";
import { markHeard, markSilent } from "../../manager/operations/watch-servers.js";
import { systemClock } from "../../shared/clock.js";
import { FailureTarget, Priority } from "../../shared/states.js";
import { newEvents } from "./events.js";
import { State } from "./state.js";

/** Takes connections and never answers. @returns its port, and a promise of the next connection. */
async function silentAgent() {
  let tell: () => void = () => undefined;
  const server = createServer(() => tell());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const asked = () =>
    new Promise<void>((resolve) => {
      tell = resolve;
    });
  return { port, asked };
}

test("a server that registers while it is asked is not taken for silent, one that does not is", async () => {
  const state = await State.open();
  const { port, asked } = await silentAgent();
  const hsvrid = await state.run(registerHeadServer, {
    ip_data: ["127.0.0.1"],
    port,
    boot_id: "a",
    running: [],
  });
  const agents = new AgentsPort({ cluster: "c", serial: 1 }, 300);
  onTestFinished(() => agents.close());
  const heard = new HeardServers(systemClock);
  const check = {
    executor: state.executor,
    agents,
    clock: systemClock,
    heard,
    log: pino({ level: "silent" }),
    retryPause: 10,
    signal: new AbortController().signal,
  };
  const priority = async () => (await state.run(listHeadServers, {}))[0]?.priority;

  const isAsked = asked();
  const checking = checkServers(check);
  await isAsked;
  heard.note("head", hsvrid);
  await checking;
  expect(await priority()).toBe(Priority.HIGH);
  await checkServers(check);
  expect(await priority()).toBe(Priority.OFFLINE);
});

test("a silent head server that is reported as failed is not brought back by being heard, and the report is told once", async () => {
  const state = await State.open();
  const hsvrid = await state.run(registerHeadServer, { ip_data: ["127.0.0.1"], boot_id: "a", running: [] });
  const ref = { kind: "head", id: hsvrid } as const;
  const report = () => state.run(notifyFailure, { target: FailureTarget.HSVR, targetid: hsvrid });
  await state.run(markSilent, ref);
  expect(await newEvents(state, report)).toMatchObject([{ targetid: hsvrid }]);
  expect(await newEvents(state, report)).toEqual([]);
  await state.run(markHeard, ref);
  expect(await state.run(listHeadServers, {})).toMatchObject([{ priority: Priority.OFFLINE }]);
});
