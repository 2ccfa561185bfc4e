import { expect, test } from "vitest";
import { MAX_ID } from "../../../shared/ids.js";
import { type FailureTarget, Priority } from "../../../shared/states.js";
import type { TestCluster } from "../../harness/cluster.js";
import { readNextIds, setNextIds } from "../../harness/manager-database.js";
import { expectNumberForms } from "./number-forms.js";
import { expectRefusals, expectRefused } from "./refusals.js";

/** What differs between head servers and storage servers in their registration. */
export interface ServerKind {
  readonly method: "registerHeadServer" | "registerStorageServer";
  readonly target: typeof FailureTarget.HSVR | typeof FailureTarget.SSVR;
  readonly sequence: "hsvr" | "ssvr";
}

interface ListedServer {
  readonly id: number;
  readonly priority: number;
  readonly ip_data: readonly string[];
}

/** Makes servers that have no agent, at addresses of the cluster where nobody listens. */
export class MadeUpServers {
  #used = 0;

  constructor(
    private readonly cluster: () => TestCluster,
    readonly kind: ServerKind,
  ) {}

  addresses(count: number): string[] {
    const prefix = this.cluster().manager.plan.address.replace(/\d+$/, "");
    return Array.from({ length: count }, () => `${prefix}${140 + this.#used++}`);
  }

  register(
    ip_data: readonly string[],
    more: { readonly boot_id?: string; readonly starting?: boolean } = {},
  ): Promise<number> {
    return this.cluster().api(this.kind.method, { ip_data: [...ip_data], ...more });
  }

  async list(): Promise<ListedServer[]> {
    if (this.kind.sequence === "hsvr")
      return (await this.cluster().api("listHeadServers", {})).map(({ hsvrid: id, ...rest }) => ({
        id,
        ...rest,
      }));
    return (await this.cluster().api("listStorageServers", {})).map(({ ssvrid: id, ...rest }) => ({
      id,
      ...rest,
    }));
  }

  async find(id: number): Promise<ListedServer | undefined> {
    return (await this.list()).find((server) => server.id === id);
  }

  async fail(targetid: number): Promise<void> {
    await this.cluster().api("notifyFailure", { target: this.kind.target, targetid });
    expect(await this.find(targetid)).toMatchObject({ priority: Priority.OFFLINE });
  }
}

/** The rows of the reference that both kinds of servers share. */
export function testServerRegistration(cluster: () => TestCluster, kind: ServerKind): MadeUpServers {
  const { method } = kind;
  const servers = new MadeUpServers(cluster, kind);

  test(`${method} gives each new server the next id, and it is HIGH`, async () => {
    const [one = "", two = "", three = ""] = servers.addresses(3);
    const first = await servers.register([one]);
    expect(await servers.register([three, two])).toBe(first + 1);
    expect((await servers.list()).slice(-2)).toMatchObject([
      { id: first, priority: Priority.HIGH, ip_data: [one] },
      { id: first + 1, priority: Priority.HIGH, ip_data: [three, two] },
    ]);
  });

  test.each([
    ["one IPv6 address", ["2001:db8::1"]],
    ["an IPv4 and an IPv6 address", ["203.0.113.7", "2001:db8::2"]],
    ["the lowest and the highest address", ["0.0.0.0", "255.255.255.255"]],
  ])(`${method} takes %s`, async (_, ip_data) => {
    expect(await servers.find(await servers.register(ip_data))).toMatchObject({ ip_data });
  });

  test(`${method} refuses addresses that are none with EINVAL`, async () => {
    const [free = ""] = servers.addresses(1);
    const wrong = [
      [],
      [free, free],
      [free, "203.0.113.1", "203.0.113.2"],
      ["999.999.999.999"],
      ["1.2.3"],
      ["1.2.3.4.5"],
      ["1.2.3.4:8882"],
      ["01.2.3.4"],
      ["localhost"],
      [" 203.0.113.1"],
      ["2001:db8::g"],
      [""],
      [5],
      [free, 5],
      [[free]],
      free,
      5,
      true,
      { 0: free },
      undefined,
    ];
    await expectRefusals(
      cluster(),
      method,
      wrong.map((ip_data) => [{ ip_data }, "EINVAL", "ip_data"] as const),
    );
  });

  test(`${method} answers EEXIST for all, some or reordered addresses of a server that is HIGH`, async () => {
    const [one = "", two = ""] = servers.addresses(2);
    await servers.register([one, two]);
    const known = [[one, two], [two, one], [one], [two]];
    await expectRefusals(
      cluster(),
      method,
      known.map((ip_data) => [{ ip_data }, "EEXIST", "registered"] as const),
    );
  });

  test(`${method} with a boot_id answers the known id, for all, some or reordered addresses`, async () => {
    const [one = "", two = ""] = servers.addresses(2);
    const id = await servers.register([one, two]);
    for (const ip_data of [[one, two], [two, one], [one], [two]]) {
      expect(await servers.register(ip_data, { boot_id: "boot" })).toBe(id);
      expect(await servers.register(ip_data, { boot_id: "the next one" })).toBe(id);
    }
    expect(await servers.find(id)).toMatchObject({ priority: Priority.HIGH, ip_data: [one, two] });
  });

  test(`${method} knows an IPv6 address in whatever way it is spelled`, async () => {
    const id = await servers.register(["2001:db8:0:0::a1"]);
    expect(await servers.find(id)).toMatchObject({ ip_data: ["2001:db8::a1"] });
    await expectRefusals(cluster(), method, [
      [{ ip_data: ["2001:DB8::A1"] }, "EEXIST", "registered"],
      [{ ip_data: ["2001:0db8::00a1"] }, "EEXIST", "registered"],
      [{ ip_data: ["2001:db8::b1", "2001:DB8:0::B1"] }, "EINVAL", "ip_data"],
    ]);
    expect(await servers.register(["2001:DB8:0:0:0:0:0:A1"], { boot_id: "boot" })).toBe(id);
  });

  test(`${method} answers EEXIST for addresses of which only some are a known server's, OFFLINE or not`, async () => {
    const [one = "", two = "", three = "", free = ""] = servers.addresses(4);
    const id = await servers.register([one, two]);
    await servers.register([three]);
    for (const priority of ["HIGH", "OFFLINE"]) {
      if (priority === "OFFLINE") await servers.fail(id);
      await expectRefusals(cluster(), method, [
        [{ ip_data: [one, free] }, "EEXIST", "ip_data"],
        [{ ip_data: [free, two], boot_id: "boot" }, "EEXIST", "ip_data"],
        [{ ip_data: [one, three] }, "EEXIST", "ip_data"],
        [{ ip_data: [three, two], boot_id: "boot" }, "EEXIST", "ip_data"],
      ]);
    }
  });

  test(`${method} makes a server that is OFFLINE HIGH again, with and without a boot_id`, async () => {
    const [one = "", two = ""] = servers.addresses(2);
    const id = await servers.register([one, two], { boot_id: "boot" });
    for (const more of [{}, { boot_id: "boot" }, { boot_id: "another boot" }]) {
      await servers.fail(id);
      expect(await servers.register([two], more)).toBe(id);
      expect(await servers.find(id)).toMatchObject({ priority: Priority.HIGH, ip_data: [one, two] });
    }
    const ip_data = [one, two];
    await expectRefused(cluster(), method, { ip_data }, "EEXIST");
  });

  test(`${method} of an agent that has run all along does not bring a server back that was declared lost`, async () => {
    const ip_data = servers.addresses(1);
    const id = await servers.register(ip_data, { boot_id: "boot" });
    await servers.fail(id);
    const registered = { ip_data, boot_id: "boot" };
    expect(await cluster().api(method, { ...registered, starting: false })).toBe(id);
    expect(await servers.find(id)).toMatchObject({ priority: Priority.OFFLINE });
    expect(await cluster().api(method, { ...registered, starting: true })).toBe(id);
    expect(await servers.find(id)).toMatchObject({ priority: Priority.HIGH });
  });

  test(`${method} takes its optional members in their bounds only`, async () => {
    const [ip = "", other = ""] = servers.addresses(2);
    const ip_data = [ip];
    await expectRefusals(cluster(), method, [
      [{ ip_data, port: 0 }, "EINVAL", "port"],
      [{ ip_data, port: -1 }, "EINVAL", "port"],
      [{ ip_data, port: 65_536 }, "EINVAL", "port"],
      [{ ip_data, boot_id: 1 }, "EINVAL", "boot_id"],
      [{ ip_data, boot_id: "" }, "EINVAL", "boot_id"],
      [{ ip_data, boot_id: "x".repeat(129) }, "EINVAL", "boot_id"],
      [{ ip_data, starting: "true" }, "EINVAL", "starting"],
      [{ ip_data, starting: 1 }, "EINVAL", "starting"],
    ]);
    const most = { port: 65_535, boot_id: "x".repeat(128), starting: false };
    const id = await cluster().api(method, { ip_data, ...most });
    expect(await servers.find(id)).toMatchObject({ priority: Priority.HIGH });
    const least = { port: 1, boot_id: "x", starting: true };
    expect(await cluster().api(method, { ip_data: [other], ...least })).toBe(id + 1);
  });

  test(`${method} takes its port in every form of a whole number`, async () => {
    const ip_data = servers.addresses(1);
    const others = () => ({ ip_data, boot_id: "boot" });
    const ids = await expectNumberForms(cluster(), { method, member: "port", value: 4711, others });
    expect(new Set(ids).size).toBe(1);
  });

  test(`${method} ignores members that it does not know`, async () => {
    const ip_data = servers.addresses(1);
    const id = await cluster().raw(method, { ver: 5, ip_data, srp_name: "srp", capacity: "x", lvolid: {} });
    expect(await servers.find(Number(id))).toMatchObject({ priority: Priority.HIGH, ip_data });
  });

  return servers;
}

/** Restarts the manager: the last test of a file. */
export function testLastServerIds(cluster: () => TestCluster, servers: MadeUpServers): void {
  const { method, sequence } = servers.kind;
  test(`${method} gives out the last id, and then answers ENOSPC and changes nothing`, async () => {
    const [one = "", two = "", three = ""] = servers.addresses(3);
    await setNextIds(cluster(), { [sequence]: MAX_ID });
    expect(await servers.register([one])).toBe(MAX_ID);
    const next = readNextIds(cluster());
    expect(next[sequence]).toBe(MAX_ID + 1);
    await expectRefusals(cluster(), method, [
      [{ ip_data: [two] }, "ENOSPC", "id"],
      [{ ip_data: [two, three], boot_id: "boot" }, "ENOSPC", "id"],
    ]);
    expect(readNextIds(cluster())).toEqual(next);
    // A known server needs no id.
    expect(await servers.register([one], { boot_id: "boot" })).toBe(MAX_ID);
  });
}
